"""The suite's own server as an upstream server, on stdio: `served.py [--handshake-only]`; both protocol eras otherwise.

Most of its tools speak to their client as one of the two eras has it, so the suite's scenarios of an era need a server
of that era.
"""

import sys
from typing import Any, cast

import anyio
from mcp.server.lowlevel import NotificationOptions
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server

from tests.conformance import fixture


async def main() -> None:
    # The fixture has no use for a sidecar.
    server = fixture.make_server(cast("Any", None))
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        if "--handshake-only" in sys.argv:
            await serve_loop(server, read, write, lifespan_state={}, init_options=options)
        else:
            await server.run(read, write, options)


if __name__ == "__main__":
    anyio.run(main)
