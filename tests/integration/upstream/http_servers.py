"""MCP servers that listen on HTTP, real ones of the SDK and ones that answer as they should not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fairlead_sidecar.config import HttpServer
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.upstream.http import http_wire
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from tests.integration.sshd import free_port

KINDS = ("stream", "json", "sse")
"""How the SDK's server answers: Streamable HTTP with event streams or with JSON, or the transport before it."""


@dataclass
class Seen:
    """What came to a server."""

    connections: set[Any] = field(default_factory=set)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Method and headers."""
    waiting: int = 0
    """Calls of `wait` that have begun."""
    cancelled: int = 0
    """Calls of `wait` that were cancelled."""


class Replay(EventStore):
    """Keeps events, so that a stream can be asked for again."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        stream, _ = self._events[int(last_event_id) - 1]
        for number, (of, message) in enumerate(self._events[int(last_event_id) :], int(last_event_id) + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def mcp_app(kind: str, seen: Seen, *, event_store: EventStore | None = None) -> ASGIApp:
    """An MCP server of one of `KINDS`."""
    server = MCPServer("probe", log_level="ERROR")

    @server.tool(structured_output=False)
    def noop() -> str:
        return "ok"

    @server.tool(structured_output=False)
    def big(size: int) -> str:
        return 'line "x"\n' * (size // 9)

    @server.tool(structured_output=False)
    async def count(n: int, ctx: Context[Any, Any]) -> str:
        for number in range(n):
            await ctx.report_progress(number, n)
        return str(n)

    @server.tool(structured_output=False)
    async def wait() -> str:
        seen.waiting += 1
        try:
            await anyio.sleep(300)
        except anyio.get_cancelled_exc_class():
            seen.cancelled += 1
            raise
        return "waited"

    @server.tool(structured_output=False)
    async def grow(ctx: Context[Any, Any]) -> str:
        server.add_tool(noop, name="grown")
        await ctx.session.send_tool_list_changed()
        return "grown"

    @server.tool(structured_output=False)
    async def pause(ctx: Context[Any, Any]) -> str:
        await ctx.close_sse_stream()
        return "after the pause"

    app: ASGIApp
    if kind == "sse":
        app = server.sse_app(host="0.0.0.0")
    else:
        app = server.streamable_http_app(
            host="0.0.0.0", json_response=kind == "json", event_store=event_store, retry_interval=50
        )
    return watched(app, seen)


def watched(app: ASGIApp, seen: Seen) -> ASGIApp:
    """`app`, with what comes to it noted."""

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.connections.add(scope["client"])
            seen.requests.append((scope["method"], dict(Request(scope).headers)))
        await app(scope, receive, send)

    return watching


def answering(response: Callable[[Request], Response]) -> ASGIApp:
    """Answers whatever is asked."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await response(Request(scope, receive))(scope, receive, send)

    return app


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int | None = None, **settings: Any) -> AsyncIterator[int]:
    """Serve `app` on 127.0.0.1; gives the port."""
    port = port or free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=0, ws="none", **settings)
    )
    # The context would otherwise be the test's, and calls that it leads to would count as the test's.
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "uvicorn ended"
        await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def accepting(greeting: bytes = b"") -> AsyncIterator[int]:
    """Accept connections, send `greeting`, and nothing more; gives the port."""
    writers: list[asyncio.StreamWriter] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(greeting)

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def http_server(port: int, kind: str = "stream", **settings: Any) -> HttpServer:
    """The configuration for `mcp_app(kind)` on `port`."""
    fields: dict[str, Any] = {
        "url": f"http://127.0.0.1:{port}/{'sse' if kind == 'sse' else 'mcp'}",
        "transport": "SSE" if kind == "sse" else "StreamableHTTP",
    }
    return HttpServer(**{**fields, **settings})


@asynccontextmanager
async def session_with(link: Link, server: HttpServer, **setup: Any) -> AsyncIterator[UpstreamSession]:
    """A session through the link; `setup` are fields of `Setup`."""
    settings = {"server": "probe", "start_timeout": 60.0, "probe": server.transport != "SSE", **setup}
    async with open_session(http_wire(server, link.open_connection), Setup(**settings)) as session:
        yield session
