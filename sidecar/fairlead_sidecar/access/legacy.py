"""The HTTP+SSE transport of protocol version 2024-11-05, for clients that speak nothing newer.

A GET opens the session and carries everything to the client; the client posts its messages to another path. There is no
way to take such a session up again: it ends with its connection, and its running commands are killed at once, for
nobody could ever get their answers.
"""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

from mcp.server.lowlevel.server import Server
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from fairlead_sidecar.access import responses
from fairlead_sidecar.access.body import MAX_BYTES, Body
from fairlead_sidecar.access.checks import Refused, Route
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Endpoint

MOST_UNREAD = 32
"""Messages for one owner that wait until its clients have read those before them; beyond that it is told nothing."""
UNREAD_SECONDS = 10.0
"""How long a message waits for them to read."""


class LegacySse:
    """The SDK's transport; what is refused before it is reached can't be logged by it, input and all."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._open: set[asyncio.Task[None]] = set()
        self._unread = _Unread()
        self._transport = SseServerTransport(Route.MESSAGES, max_request_body_size=MAX_BYTES)

    async def stream(self, request: Request, caller: Caller, endpoint: Endpoint, send: Send) -> None:
        """Open a session and serve it until its client goes. Cancelled, it leaves the kills to go on by themselves."""
        scope = {**request.scope, "root_path": _prefix(request, endpoint)}
        exchange = _Exchange(request.receive, send)
        task = asyncio.create_task(self._serve(scope, caller.owner, exchange))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        try:
            await asyncio.shield(task)
        finally:
            exchange.gone.set()

    async def _serve(self, scope: Scope, owner: str, exchange: "_Exchange") -> None:
        async with self._transport.connect_sse(scope, exchange.receive, exchange.send) as (read, write):
            await serve_loop(self._server, read, _Counted(write, owner, self._unread), lifespan_state={})

    async def message(self, request: Request, caller: Caller, body: Body, send: Send) -> None:
        """Take one message into the session that the URL names.

        Raises:
            Refused: There is no such session, or it is another owner's, or nobody reads its answers.
        """
        self._check_session(request.query_params.get("session_id", ""), caller)
        if not await self._unread.few(caller.owner):
            message = "The answers to earlier messages are not read; read them first."
            raise Refused("unread_answers", responses.error(503, "too_busy", message, {"Retry-After": "1"}))
        try:
            jsonrpc_message_adapter.validate_json(body.content, by_name=False)
        except ValidationError:
            refusal = responses.error(400, "bad_request", "The body is no JSON-RPC message.")
            await refusal(request.scope, request.receive, send)
            return
        await self._transport.handle_post_message(request.scope, body.receive, send)

    def _check_session(self, text: str, caller: Caller) -> None:
        try:
            owner = self._transport._session_owners.get(UUID(hex=text))  # noqa: SLF001 - there is no public way
        except ValueError:
            owner = None
        if owner is None or owner["client_id"] != caller.owner:
            reason = "unknown_session" if owner is None else "foreign_session"
            raise Refused(reason, responses.error(404, "not_found", "There is no such session."))


class _Unread:
    """How many messages wait for whose clients to read: answers are made as fast as they are asked for, and a client
    that reads none of them, or one now and then, must not have them pile up."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.read = asyncio.Event()

    async def few(self, owner: str) -> bool:
        """Wait until there are few; False where that takes too long."""
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                while self.count[owner] >= MOST_UNREAD:
                    self.read.clear()
                    await self.read.wait()
        except TimeoutError:
            return False
        return True


class _Counted:
    """A stream to a client, whose waiting messages are counted."""

    def __init__(self, stream: WriteStream[SessionMessage], owner: str, unread: _Unread) -> None:
        self._stream = stream
        self._owner = owner
        self._unread = unread

    async def send(self, item: SessionMessage, /) -> None:
        """See `WriteStream`."""
        self._unread.count[self._owner] += 1
        try:
            await self._stream.send(item)
        finally:
            self._unread.count[self._owner] -= 1
            self._unread.count += Counter()  # else every owner there ever was would stay
            self._unread.read.set()

    async def aclose(self) -> None:
        """See `WriteStream`."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, trace)


class _Exchange:
    """The HTTP side of a session, from which its client can be taken as if it had gone by itself.

    The SDK winds up in good order only when the client goes: cancelled, it leaves streams open.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        """See ASGI."""
        message, gone = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait([message, gone], return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message.done() else {"type": "http.disconnect"}
        finally:
            message.cancel()
            gone.cancel()

    async def send(self, message: Message) -> None:
        """See ASGI; whatever comes after the end is dropped."""
        if not self.gone.is_set():
            await self._send(message)


def _prefix(request: Request, endpoint: Endpoint) -> str:
    """What stands before `/messages` in the path that this client has to use.

    It is as the client asked, unless something in front changes paths, which only the public URL tells.
    """
    public = urlsplit(endpoint.public_url or "")
    if public.netloc and public.netloc == request.headers.get("host"):
        return public.path.removesuffix("/").removesuffix(Route.MCP)
    path: str = request.scope["path"]
    return path.removesuffix("/").removesuffix(Route.SSE)
