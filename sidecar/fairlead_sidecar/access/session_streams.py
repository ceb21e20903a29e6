"""The end of a handshake session that the server writes to."""

from collections.abc import Awaitable, Callable
from typing import Self

import anyio
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.message import SessionMessage


class Outlet:
    """Each message is passed on by the task that sends it, where the SDK has a stream and a task that reads it."""

    def __init__(
        self, pass_on: Callable[[SessionMessage], Awaitable[None]], stream: WriteStream[SessionMessage]
    ) -> None:
        """`stream` is the one whose place it takes; it is closed with it."""
        self._pass_on = pass_on
        self._stream = stream
        self._closed = False

    async def send(self, item: SessionMessage, /) -> None:
        """Pass a message on.

        Raises:
            anyio.ClosedResourceError: It was closed.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        await self._pass_on(item)

    async def aclose(self) -> None:
        """Pass nothing more on."""
        self._closed = True
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
