"""Handshake sessions whose streams can be taken up again, and whose calls end when nobody does so in time."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import partial
from typing import Any, cast
from uuid import uuid4

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import (
    GET_STREAM_KEY,
    REQUEST_CANCELLED,
    REQUEST_STREAM_BUFFER_SIZE,
    EventMessage,
    SSEEvent,
    StreamableHTTPServerTransport,
    check_accept_headers,
)
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS, is_version_at_least
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from fairlead_sidecar.access import responses
from fairlead_sidecar.access.body import BODY_KEY, MAX_BYTES, Body
from fairlead_sidecar.access.events import Backlog, EventLog, Stream
from fairlead_sidecar.access.modern import well_formed
from fairlead_sidecar.access.session_streams import Outlet
from fairlead_sidecar.access.sse import Events, event
from fairlead_sidecar.access.watching import watching

logger = logging.getLogger(__name__)

RETRY_MILLISECONDS = 1000
"""How long a client is asked to wait before it takes up a stream again."""
PRIMING_VERSION = "2025-11-25"
"""The first protocol version whose clients understand an event without data."""
IDLE_SECONDS = 75 * 60.0
"""How long a session stays that has no request under way: longer than the longest grace (an hour), for a command whose
client is gone is not under way in this sense."""
CANCEL_TIMEOUT = 5.0
"""Seconds for a session to take a cancellation; one that does not is ended."""

_STREAM_KEY = "fairlead.stream"
_Read = ReadStream[SessionMessage | Exception]
_MODERN = frozenset(version.encode() for version in MODERN_PROTOCOL_VERSIONS)


class ResumableTransport(StreamableHTTPServerTransport):
    """One session. The hooks it overrides are private: the dependency on `mcp` is pinned to a minor version for it."""

    def __init__(self, session_id: str, events: EventLog, abandoned: "dict[Stream, ResumableTransport]") -> None:
        super().__init__(
            session_id,
            event_store=events,
            retry_interval=RETRY_MILLISECONDS,
            idle_timeout=IDLE_SECONDS,
        )
        self._events = events
        self._abandoned = abandoned

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncGenerator[tuple[_Read, WriteStream[SessionMessage]], None]:
        """See the base class, which passes on what the server writes in a task of its own."""
        async with super().connect() as (read, write):
            yield read, Outlet(self._pass_on, write)

    async def _pass_on(self, item: SessionMessage) -> None:
        """Keep what the server sends, and give it to the exchange that it belongs to, or to the standing stream."""
        if self.is_terminated:
            raise anyio.ClosedResourceError
        message, about = item.message, item.metadata
        related = about.related_request_id if isinstance(about, ServerMessageMetadata) else None
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            related = message.id
        name = GET_STREAM_KEY if related is None else str(related)
        number = await self._events.store_event(name, message)
        streams = self._request_streams.get(name)
        if streams is None:
            return
        try:
            await streams[0].send(EventMessage(message, number))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # Nobody reads any more; the client may come back for what is kept.
            if self._request_streams.get(name) is streams:
                del self._request_streams[name]

    async def terminate(self) -> None:
        """See the base class; nothing is kept."""
        await super().terminate()
        self._events.close()

    async def cancel(self, request: RequestId) -> None:
        """Cancel a request as its client would: its command is killed, its answer says so."""
        writer = self._read_stream_writer
        if writer is None or self.is_terminated:
            return
        params: dict[str, Any] = {"requestId": request, "reason": "The client lost its connection."}
        note = JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params)
        with anyio.move_on_after(CANCEL_TIMEOUT) as scope, contextlib.suppress(anyio.ClosedResourceError):
            await writer.send(SessionMessage(note))
        if scope.cancelled_caught:
            logger.warning("A session that took no cancellation was ended")
            await self.terminate()

    async def _mint_priming_event(self, stream_id: str, protocol_version: str) -> SSEEvent | None:
        # It goes out with the head of the answer: through the SDK's streams it would cost each call another round.
        if await super()._mint_priming_event(stream_id, protocol_version) is not None:
            self._events.prime(stream_id)
        return None

    def _create_session_message(
        self, message: JSONRPCRequest, request: Request, request_id: RequestId, protocol_version: str
    ) -> SessionMessage:
        request.scope[_STREAM_KEY] = self._events.request(str(request_id), message.id)
        return super()._create_session_message(message, request, request_id, protocol_version)

    def _create_event_data(self, event_message: EventMessage) -> SSEEvent:
        text = self._events.text(event_message.event_id) if event_message.event_id else None
        if text is None:
            return super()._create_event_data(event_message)
        # Bytes pass as they are; of a dict, sse_starlette would hold a long text four times over.
        return cast("SSEEvent", event(text, str(event_message.event_id)))

    async def _handle_post_request(self, scope: Scope, request: Request, receive: Receive, send: Send) -> None:
        message = _ordinary(request)
        try:
            if message is None:
                await super()._handle_post_request(scope, request, receive, partial(self._primed, scope, send))
            elif await self._validate_request_headers(request, send):
                await self._serve(message, request, send)
        finally:
            if (stream := scope.get(_STREAM_KEY)) is not None:
                self._left(stream)

    async def _primed(self, scope: Scope, send: Send, message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)
            return
        # A head alone says nothing, and may do harm (see `responses.FIRST_SECONDS`).
        await send({**message, responses.MAY_WAIT: True})
        stream = scope.get(_STREAM_KEY)
        if stream is not None and stream.primed:
            priming = {"type": "http.response.body", "body": _priming(stream), "more_body": True}
            await send({**priming, responses.MAY_WAIT: True})

    async def _serve(self, message: JSONRPCRequest, request: Request, send: Send) -> None:
        """Pass a request on, and back whatever belongs to it, until the answer.

        As the base class does, but in the task that took the request, where that takes four with streams between them.
        """
        name, writer = str(message.id), self._read_stream_writer
        if writer is None:
            return
        if self._events.is_taken(name):
            await _taken(message.id)(request.scope, request.receive, send)
            return
        version = request.headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)
        await self._mint_priming_event(name, version)
        streams = anyio.create_memory_object_stream[EventMessage](REQUEST_STREAM_BUFFER_SIZE)
        self._request_streams[name] = streams
        passed_on = self._create_session_message(message, request, name, version)
        stream: Stream = request.scope[_STREAM_KEY]
        headers = {b"mcp-session-id": (self.mcp_session_id or "").encode()}
        answer = Events(request.scope, send, headers, first=_priming(stream) if stream.primed else None)
        try:
            with contextlib.suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
                # Also where its client leaves now: it may come back for the answer.
                await writer.send(passed_on)
                with watching(request.receive, answer.ping):
                    await self._pass_back(stream, streams[1], answer)
            await answer.end()
        finally:
            answer.close()
            if self._request_streams.get(name) is streams:
                del self._request_streams[name]
            for end in streams:
                end.close()

    async def _pass_back(
        self, stream: Stream, incoming: MemoryObjectReceiveStream[EventMessage], answer: Events
    ) -> None:
        answered = False
        while not answered:
            item = await incoming.receive()
            answered = isinstance(item.message, JSONRPCResponse | JSONRPCError)
            number, streams = str(item.event_id), not answered or _is_cancelled(item.message)
            text = self._events.text(number)
            if text is None:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            # The text alone is held while the client reads.
            del item
            if streams:
                await answer.send(text, number)
            elif await answer.answer(text, number):
                self._events.forget(stream)

    async def _handle_get_request(self, request: Request, send: Send) -> None:
        if "last-event-id" not in request.headers:
            self._events.take_over(GET_STREAM_KEY)
        await super()._handle_get_request(request, send)

    async def _replay_events(self, last_event_id: str, request: Request, send: Send) -> None:
        stream = self._events.find(last_event_id)
        if stream is None:
            refusal = responses.error(400, "unknown_event", "Nothing is kept of the stream with this Last-Event-ID.")
            await refusal(request.scope, request.receive, send)
            return
        # Whoever has been reading it can't be there any more, even if the network has not told yet.
        self.close_sse_stream(stream.name)
        with self._reading(stream) as reader:
            version = request.headers.get("mcp-protocol-version", DEFAULT_NEGOTIATED_VERSION)
            headers = {"Cache-Control": "no-cache, no-transform", "Mcp-Session-Id": self.mcp_session_id or ""}
            answer = EventSourceResponse(self._resumed(last_event_id, reader, version), headers=headers)
            await answer(request.scope, request.receive, send)

    async def _resumed(self, last_event_id: str, reader: object, version: str) -> AsyncIterator[SSEEvent]:
        if is_version_at_least(version, PRIMING_VERSION):
            yield {"id": last_event_id, "data": "", "retry": RETRY_MILLISECONDS}
        async for number, text in self._events.follow(last_event_id, reader):
            yield {"event": "message", "id": number, "data": text}

    @contextlib.contextmanager
    def _reading(self, stream: Stream) -> Iterator[object]:
        reader = stream.reader = object()
        self._abandoned.pop(stream, None)
        stream.wake()
        try:
            yield reader
        finally:
            if stream.reader is reader:
                stream.reader = None
                self._left(stream)

    def _left(self, stream: Stream) -> None:
        """Nobody reads the stream any more, unless somebody took it over."""
        if stream.request is not None and stream.answer is None and stream.reader is None and not self.is_terminated:
            stream.abandoned_at = asyncio.get_running_loop().time()
            self._abandoned[stream] = self


def _ordinary(request: Request) -> JSONRPCRequest | None:
    """A request that a session answers with a stream of events; None: it is another message, or none that is right."""
    if check_accept_headers(request) != (True, True):
        return None
    body: Body = request.scope[BODY_KEY]
    try:
        message = jsonrpc_message_adapter.validate_python(body.message, by_name=False)
    except ValueError:
        return None
    if not isinstance(message, JSONRPCRequest) or message.method == "initialize":
        return None
    body.take()
    return message


def _is_cancelled(message: JSONRPCMessage) -> bool:
    """Whether this ends a request that its client cancelled.

    Such a client may be leaving, and the Python SDK's trips over JSON that comes then; over an event it does not.
    """
    return isinstance(message, JSONRPCError) and message.error.code == REQUEST_CANCELLED


def _taken(request: RequestId) -> JSONResponse:
    """The refusal of an id that a session uses twice at a time: nobody could tell the answers apart."""
    message = "A request with this id is under way in this session: give each request an id of its own."
    error = JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=INVALID_REQUEST, message=message))
    return JSONResponse(error.model_dump(by_alias=True, exclude_none=True), status_code=400)


def _priming(stream: Stream) -> bytes:
    """The event that lets a client take the stream up again from its beginning."""
    return b"id: %b\r\nretry: %d\r\ndata: \r\n\r\n" % (stream.event_id(0).encode(), RETRY_MILLISECONDS)


class ResumableSessions(StreamableHTTPSessionManager):
    """The SDK's manager, with a log of events for each session: the SDK's own would mix up the streams of all."""

    def __init__(self, server: Server[Any]) -> None:
        # No bound on sessions: `Sessions` has one, and one for each owner.
        super().__init__(server, max_request_body_size=MAX_BYTES, max_sessions=None)
        self.backlog = Backlog()
        self._abandoned: dict[Stream, ResumableTransport] = {}
        self._cancelling: set[asyncio.Task[None]] = set()

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the base class; the body is one that the gate has read."""
        if scope["method"] != "POST" or self._task_group is None or not _is_modern(scope):
            await super().handle_request(scope, receive, send)
            return
        exchange = well_formed(self.app, Request(scope, receive), scope[BODY_KEY], self._lifespan_state)
        if exchange is not None:
            await exchange.serve(send)
            return
        await super().handle_request(scope, receive, send)

    def cancel_abandoned(self, grace: float) -> None:
        """Cancel every request whose answer nobody has been waiting for these `grace` seconds."""
        now = asyncio.get_running_loop().time()
        for stream, transport in list(self._abandoned.items()):
            if stream.abandoned_at is None or transport.is_terminated:
                del self._abandoned[stream]
            elif now - stream.abandoned_at >= grace and stream.request is not None:
                del self._abandoned[stream]
                task = asyncio.create_task(transport.cancel(stream.request))
                self._cancelling.add(task)
                task.add_done_callback(self._cancelling.discard)

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport:
        session_id = uuid4().hex
        events = EventLog(requestor["client_id"] if requestor else "", self.backlog)
        transport = ResumableTransport(session_id, events, self._abandoned)
        if requestor is not None:
            self._session_owners[session_id] = requestor
        self._server_instances[session_id] = transport
        return transport


def _is_modern(scope: Scope) -> bool:
    return any(name == b"mcp-protocol-version" and value in _MODERN for name, value in scope["headers"])
