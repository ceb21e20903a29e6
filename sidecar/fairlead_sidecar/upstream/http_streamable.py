"""Streamable HTTP from the client's side, both eras.

Not the SDK's own client: that holds a long answer five to ten times over, hides the status of a refused request
behind one general error, and opens a new connection for each answer that comes as an event stream.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    METHOD_NOT_FOUND,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    RequestId,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar.ssh.backoff import Backoff
from fairlead_sidecar.upstream.errors import (
    ForwardingRefused,
    LinkDown,
    NotListening,
    ProtocolError,
    UpstreamError,
    again,
)
from fairlead_sidecar.upstream.http_connection import Response
from fairlead_sidecar.upstream.http_endpoint import Endpoint, beginning, whole
from fairlead_sidecar.upstream.http_events import Event, EventDecoder
from fairlead_sidecar.upstream.http_failures import BrokenOff, content_type, no_mcp
from fairlead_sidecar.upstream.http_headers import sendable
from fairlead_sidecar.upstream.http_wire import HttpWire
from fairlead_sidecar.upstream.messages import Answer, cancellation, is_answer, is_notification, parse, render

_logger = logging.getLogger(__name__)

_SESSION_ID = "mcp-session-id"
_LAST_EVENT_ID = "last-event-id"
_ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_SEND_SECONDS = 30.0
"""For a message that is no request to be taken."""
_RESUMPTIONS = 3
"""Attempts, without an event between them, to get the rest of a stream that broke off."""
_RETRY_SECONDS = 1.0
_LEAST_RETRY_SECONDS = 0.05
"""Whatever the server says."""
_DRAIN_SECONDS = 1.0
"""For a stream to end after its answer, so that its connection serves the next request too."""
_GOODBYE_SECONDS = 2.0
_CANCEL_SECONDS = 5.0
"""For a server to be told that a request was cancelled."""


@dataclass(slots=True)
class _Position:
    """How far a stream was read."""

    last_id: str | None = None
    retry: float = _RETRY_SECONDS
    fruitless: int = 0

    def note(self, event: Event) -> None:
        self.fruitless = 0
        if event.id:
            self.last_id = event.id if sendable(event.id) else None
        if event.retry is not None:
            self.retry = max(event.retry, _LEAST_RETRY_SECONDS)


@dataclass(slots=True)
class _Post:
    """A request under way."""

    modern: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class StreamableWire(HttpWire):
    """One session with a server (handshake protocols), or one client of it (modern protocol)."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._session_id: str | None = None
        self._version: str | None = None
        self._posts: dict[RequestId, _Post] = {}

    async def open(self) -> None:
        """Nothing: the first message opens it."""

    async def send(self, item: SessionMessage) -> None:
        """See `Outlet.send`."""
        self.check()
        message = item.message
        given = item.metadata.headers if isinstance(item.metadata, ClientMessageMetadata) else None
        headers = self._headers(message, given or {})
        if isinstance(message, JSONRPCRequest):
            post = self._posts[message.id] = _Post(_is_modern(headers))
            self.spawn(self._request(message, headers, post))
        elif not self._cancelled(message):
            await self._tell(message, headers)

    async def ask(self, request: JSONRPCRequest, headers: Mapping[str, str]) -> Answer:
        """See `spec.Asking`."""
        self.check()
        sent = self._headers(request, headers)
        try:
            answer = await self._ask(request, sent)
        except UpstreamError as error:
            await self.fail(error, None)
            self.check()
            raise again(error) from error
        except asyncio.CancelledError:
            if not _is_modern(sent) and not self._ended:
                await self._cancel(request.id, sent)
            raise
        await self.read_by_now()
        return answer

    async def _cancel(self, request_id: RequestId, headers: dict[str, str]) -> None:
        with anyio.move_on_after(_CANCEL_SECONDS, shield=True), suppress(anyio.BrokenResourceError):
            await self._tell(cancellation(request_id), headers)

    async def aclose(self) -> None:
        """End whatever goes on, and tell the server that the session is over."""
        goes_on = not self._ended
        await super().aclose()
        if self._session_id is None or not goes_on:
            return
        with anyio.move_on_after(_GOODBYE_SECONDS, shield=True), suppress(UpstreamError):
            (await self._endpoint.send("DELETE", self._common())).release()

    # --- sending ---

    def _headers(self, message: JSONRPCMessage, given: Mapping[str, str]) -> dict[str, str]:
        if not isinstance(message, JSONRPCRequest):
            return {**_ACCEPT, **self._common(), **given}
        if message.method == "initialize":
            # What a former attempt said of another version does not hold for it.
            self._version = None
        headers = {**_ACCEPT, **self._common(), **given}
        if MCP_PROTOCOL_VERSION_HEADER in headers and not _is_modern(headers):
            self._version = headers[MCP_PROTOCOL_VERSION_HEADER]
        return headers

    def _common(self) -> dict[str, str]:
        headers = {}
        if self._session_id is not None:
            headers[_SESSION_ID] = self._session_id
        if self._version is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self._version
        return headers

    def _cancelled(self, message: JSONRPCMessage) -> bool:
        """In the modern protocol a request is cancelled by closing its response."""
        if not isinstance(message, JSONRPCNotification) or message.method != "notifications/cancelled":
            return False
        request_id = cancelled_request_id_from_params(message.params)
        post = None if request_id is None else self._posts.get(request_id)
        if post is not None and post.modern:
            post.scope.cancel()
            return True
        # An answer may have come meanwhile; without any session there is nobody to tell.
        return post is None and self._version is None

    async def _tell(self, message: JSONRPCMessage, headers: dict[str, str]) -> None:
        try:
            with anyio.move_on_after(_SEND_SECONDS):
                with await self._endpoint.send("POST", headers, render(message)) as response:
                    if response.is_success:
                        await beginning(response)
                    else:
                        _raise(await self._endpoint.problem(response, in_session=self._session_id is not None))
        except UpstreamError as error:
            await self.fail(error, None)
            self.check()
            _logger.info("An upstream server did not take a message: %s", error.message)
        if is_notification(message, "notifications/initialized") and self._session_id is not None:
            self.spawn(self._listen())

    async def _request(self, message: JSONRPCRequest, headers: dict[str, str], post: _Post) -> None:
        try:
            with post.scope:
                await self.deliver(await self._ask(message, headers))
        except UpstreamError as error:
            await self.fail(error, message.id, instead=_unknown(message))
        finally:
            # An id may have been used again meanwhile.
            if self._posts.get(message.id) is post:
                del self._posts[message.id]

    async def _ask(self, message: JSONRPCRequest, headers: dict[str, str]) -> Answer:
        """The answer to a request; what comes before it is delivered."""
        position = _Position()
        streamed = None
        try:
            response = await self._endpoint.send("POST", headers, render(message))
            try:
                if not response.is_success:
                    answer = await self._endpoint.problem(response, in_session=_SESSION_ID in headers)
                    return self._answer(_raise(answer), message)
                if message.method == "initialize":
                    self._session_id = _session_id(response)
                if content_type(response) == "application/json":
                    return self._answer(parse(await whole(response), self.masked), message)
                if content_type(response) != "text/event-stream":
                    raise no_mcp(response)
                if (streamed := await self._read_events(response, position, message)) is not None:
                    return streamed
            finally:
                self._let_go(response, answered=streamed is not None)
            broken_off = BrokenOff("The server ended its response without an answer.")
        except BrokenOff as error:
            broken_off = error
        return await self._resume(message, position, broken_off)

    async def _resume(self, message: JSONRPCRequest, position: _Position, error: BrokenOff) -> Answer:
        """Get the rest of a stream that broke off, or that the server ended to be asked for it again."""
        while position.last_id is not None and position.fruitless < _RESUMPTIONS:
            position.fruitless += 1
            await anyio.sleep(position.retry)
            with suppress(BrokenOff):
                if (answer := await self._stream(position, message)) is not None:
                    return answer
        raise error

    async def _stream(self, position: _Position, message: JSONRPCRequest | None) -> Answer | None:
        """Ask for a stream, from where it was read to; the answer to `message`, if it came."""
        headers = {"accept": "text/event-stream", **self._common()}
        if position.last_id is not None:
            headers[_LAST_EVENT_ID] = position.last_id
        answer = None
        response = await self._endpoint.send("GET", headers)
        try:
            if not response.is_success:
                _raise(await self._endpoint.problem(response, in_session=_SESSION_ID in headers))
            if content_type(response) != "text/event-stream":
                raise no_mcp(response)
            answer = await self._read_events(response, position, message)
            return answer
        finally:
            self._let_go(response, answered=answer is not None)

    async def _listen(self) -> None:
        """The stream of what belongs to no request, asked for again and again while the session lasts."""
        position, pauses, had_one = _Position(), Backoff(first=_RETRY_SECONDS, cap=30), False
        while not self._ended:
            asked_at = anyio.current_time()
            try:
                await self._stream(position, None)
                had_one = True
            except BrokenOff:
                had_one = True
            except (NotListening, ForwardingRefused, LinkDown) as error:
                self.end(error)
            except UpstreamError as error:
                if not had_one:
                    # The server offers none, as it may, and does not always say so with 405.
                    return
                await self.fail(error, None)
            if anyio.current_time() - asked_at > 2 * _RETRY_SECONDS:
                pauses.reset()
            await anyio.sleep(max(position.retry, pauses.next()))

    # --- receiving ---

    async def _read_events(
        self, response: Response, position: _Position, message: JSONRPCRequest | None
    ) -> Answer | None:
        """Deliver what comes until the answer to `message`; None: it did not come."""
        decoder = EventDecoder()
        while piece := await response.read():
            for event in decoder.feed(piece):
                position.note(event)
                if event.name != "message" or not event.data:
                    continue
                received = parse(event.data, self.masked)
                if message is not None and is_answer(received):
                    return self._answer(received, message)
                await self.deliver(received)
        return None

    def _let_go(self, response: Response, *, answered: bool) -> None:
        """Have a stream end by itself behind its answer, so that its connection serves other requests too."""
        if answered and not response.complete:
            self.spawn(_read_to_end(response))
        else:
            response.release()

    def _answer(self, answer: JSONRPCMessage, message: JSONRPCRequest) -> Answer:
        if not is_answer(answer):
            raise ProtocolError("The server answered a request with something that is no answer.")
        # It came as the answer to this request, whatever it calls it; null is for requests that could not be read.
        answer.id = message.id
        if message.method == "initialize":
            self._note_version(answer)
        self._posts.pop(message.id, None)
        self.succeeded()
        return answer

    def _note_version(self, answer: Answer) -> None:
        result = getattr(answer, "result", None)
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        if isinstance(version, str) and version.isascii() and version.isprintable():
            self._version = version


async def _read_to_end(response: Response) -> None:
    with response, anyio.move_on_after(_DRAIN_SECONDS), suppress(UpstreamError):
        while await response.read():
            pass


def _session_id(response: Response) -> str | None:
    given: str | None = response.headers.get(_SESSION_ID)
    if given is not None and not sendable(given):
        raise ProtocolError("The server gave the session a name that no header can have.")
    return given


def _unknown(message: JSONRPCRequest) -> JSONRPCError | None:
    """How servers that know nothing of it may well refuse this request: with whatever status they have for that."""
    if message.method != "server/discover":
        return None
    error = ErrorData(code=METHOD_NOT_FOUND, message="Method not found")
    return JSONRPCError(jsonrpc="2.0", id=message.id, error=error)


def _is_modern(headers: Mapping[str, str]) -> bool:
    return headers.get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS


def _raise(problem: JSONRPCError | UpstreamError) -> JSONRPCError:
    """Raise what is no answer of the server's own."""
    if isinstance(problem, UpstreamError):
        raise problem
    return problem
