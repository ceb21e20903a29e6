"""Wires to MCP servers that listen on HTTP, through the SSH link."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fairlead_sidecar.config import HttpServer
from fairlead_sidecar.upstream.http_client import HttpClient
from fairlead_sidecar.upstream.http_endpoint import Endpoint
from fairlead_sidecar.upstream.http_sse import SseWire
from fairlead_sidecar.upstream.http_streamable import StreamableWire
from fairlead_sidecar.upstream.spec import OpenWire, Wire
from fairlead_sidecar.upstream.tunnel import Connect

_WIRES: dict[str, type[SseWire | StreamableWire]] = {"StreamableHTTP": StreamableWire, "SSE": SseWire}


def http_wire(server: HttpServer, connect: Connect) -> OpenWire:
    """What opens wires to `server`, over connections that `connect` makes.

    With Streamable HTTP nothing is sent before the first message is, so a server that is not there shows then.
    """

    @asynccontextmanager
    async def open_wire() -> AsyncIterator[Wire]:
        client = HttpClient(connect)
        try:
            endpoint = Endpoint(server, client)
            wire: SseWire | StreamableWire = (
                SseWire(endpoint) if server.transport == "SSE" else StreamableWire(endpoint)
            )
            try:
                if isinstance(wire, SseWire):
                    await wire.open()
                yield wire
            finally:
                await wire.aclose()
        finally:
            client.close()

    return open_wire
