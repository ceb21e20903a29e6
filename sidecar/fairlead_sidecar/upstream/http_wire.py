"""What both HTTP transports have in common: the two ends of a wire, and how it fails."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

import anyio
from mcp.shared._context_streams import create_context_streams
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, RequestId

from fairlead_sidecar.upstream.errors import (
    Exited,
    ForwardingRefused,
    LinkDown,
    NotListening,
    SecretNotFound,
    Unauthorized,
    UpstreamError,
)
from fairlead_sidecar.upstream.http_endpoint import Endpoint
from fairlead_sidecar.upstream.http_failures import Forbidden, SessionOver
from fairlead_sidecar.upstream.messages import failure

Item = SessionMessage | Exception

_FATAL = (NotListening, ForwardingRefused, LinkDown, SecretNotFound, SessionOver, Unauthorized)
"""No other request would fare better: the wire ends with them."""


_ANSWER_TO_NOTHING = SessionMessage(JSONRPCResponse(jsonrpc="2.0", id="", result={}))
"""Something that the reader drops."""


class Outlet:
    """The end of a wire that is written to: each message is sent as it comes, by who sends it."""

    def __init__(self, send: Callable[[SessionMessage], Awaitable[None]]) -> None:
        self._send = send
        self._closed = False

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message; a request is on its way, anything else has arrived when this returns.

        Raises:
            anyio.ClosedResourceError: It was closed.
            anyio.BrokenResourceError: The wire has ended.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        await self._send(item)

    async def aclose(self) -> None:
        """Send no more."""
        self._closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class HttpWire(ABC):
    """A wire whose messages are HTTP bodies and events."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # No buffer: a message that nobody takes is not followed by the next one. The reader can tell by a message's
        # context which request's response brought it.
        self._in, self._out = create_context_streams[Item](0)
        self.read: ReadStream[Item] = self._out
        self.write: WriteStream[SessionMessage] = Outlet(self.send)
        self._fault: UpstreamError | None = None
        self._established = False
        """A request got an answer."""
        self._ended = False
        self._given = self._taken = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def fault(self) -> UpstreamError | None:
        """Why it ended, or why the last request got no answer."""
        return self._fault

    def masked(self, text: str) -> str:
        """See `spec.Wire`."""
        return self._endpoint.masked(text)

    @abstractmethod
    async def send(self, item: SessionMessage) -> None:
        """Send a message to the server."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the messages, until the wire is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End whatever goes on."""
        self.end(Exited("The session with the server was ended here."))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._out.close()

    def end(self, fault: UpstreamError) -> None:
        """No more comes: its reader gets the end, and finds out why by `fault`."""
        if not self._ended:
            self._ended, self._fault = True, fault
            self._in.close()

    def check(self) -> None:
        """Whether it can still be written to.

        Raises:
            anyio.BrokenResourceError: No.
        """
        if self._ended:
            raise anyio.BrokenResourceError from self._fault

    async def deliver(self, message: JSONRPCMessage) -> None:
        """Give a message to the reader."""
        try:
            self._given += 1
            await self._in.send(SessionMessage(message))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # Nobody reads any more.
            self.end(Exited("The session with the server was ended here."))

    async def read_by_now(self) -> None:
        """Wait until the reader is done with what it was given: it takes the next message only then."""
        delivered = self._given
        if self._taken < delivered:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._in.send(_ANSWER_TO_NOTHING)
            self._taken = max(self._taken, delivered)

    async def report(self, error: UpstreamError) -> None:
        """What came could not be read, and nobody knows which request it belongs to."""
        self._fault = error
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._in.send(error)

    async def fail(
        self, error: UpstreamError, request_id: RequestId | None, *, instead: JSONRPCError | None = None
    ) -> None:
        """A request, or a message that is none, did not get through; `instead` is another answer to give than that."""
        if self._ended:
            return
        if isinstance(error, _FATAL) and not (self._established and isinstance(error, Forbidden)):
            self.end(error)
            return
        self._fault = error
        if request_id is not None:
            await self.deliver(instead or failure(request_id, error))

    def succeeded(self) -> None:
        """A request got its answer."""
        if not self._ended:
            self._established, self._fault = True, None
