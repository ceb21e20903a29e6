"""A sidecar's link in a process that a test can kill. argv: configuration, user for sudo or `-`, commands.

A command that begins with `hold:` has its input open.
"""

import asyncio
import sys

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.request import CommandRequest, RunAs


async def main() -> None:
    """Run the commands at the same time, then wait for ever."""
    link = Link(SidecarConfig.parse(sys.argv[1]))
    task = asyncio.create_task(link.run())
    run_as = None if sys.argv[2] == "-" else RunAs(sys.argv[2])

    async def run(command: str) -> None:
        request = CommandRequest(command=command.removeprefix("hold:"), run_as=run_as)
        if request.command == command:
            await link.run_command(request, timeout=500, sink=lambda *_: None)
            return
        async with link.hold(request, timeout=50, on_stderr=lambda _: None) as held:
            await held.wait()

    await asyncio.gather(*(run(command) for command in sys.argv[3:]))
    await task


if __name__ == "__main__":
    asyncio.run(main())
