"""The stream of events that answers a request of a handshake session."""

import asyncio
from collections.abc import Callable, Mapping

from starlette.types import Scope, Send

from fairlead_sidecar.access.responses import HELD_KEY, MAY_WAIT
from fairlead_sidecar.access.watching import PING

PIECE_CHARACTERS = 256 * 1024
"""Of a long message, that are encoded and handed to the connection at once; the next ones wait until they are read."""
_HEADERS = {
    b"cache-control": b"no-cache, no-transform",
    b"connection": b"keep-alive",
    b"content-type": b"text/event-stream",
    b"x-accel-buffering": b"no",
}
_END = b"\r\n\r\n"


def event(text: str, number: str) -> bytes:
    """A message, whose JSON has no line breaks, as the event of this id."""
    return _head(number) + text.encode() + _END


def _head(number: str) -> bytes:
    return b"id: %b\r\nevent: message\r\ndata: " % number.encode()


class Events:
    """Writes one; several tasks may."""

    def __init__(self, scope: Scope, send: Send, headers: Mapping[bytes, bytes]) -> None:
        self._send = send
        self._headers = [*_HEADERS.items(), *headers.items()]
        self._holds: Callable[[int], None] = scope.get(HELD_KEY, lambda _: None)
        self._writing = asyncio.Lock()
        self._ended = False

    async def begin(self, first: bytes | None) -> None:
        """Begin it; `first` says nothing that the client could use yet."""
        await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if first is not None:
            await self._write(first, **{MAY_WAIT: True})

    async def send(self, text: str, number: str) -> None:
        """Write a message, whose JSON has no line breaks, as the event of this id."""
        async with self._writing:
            if len(text) <= PIECE_CHARACTERS:
                await self._write(event(text, number))
                return
            await self._write(_head(number))
            try:
                for start in range(0, len(text), PIECE_CHARACTERS):
                    self._holds(max(0, len(text) - start - PIECE_CHARACTERS))
                    await self._write(text[start : start + PIECE_CHARACTERS].encode())
            finally:
                self._holds(0)
            await self._write(_END)

    async def ping(self) -> None:
        """Show that it goes on."""
        async with self._writing:
            if not self._ended:
                await self._write(PING)

    async def end(self) -> None:
        """No more comes."""
        async with self._writing:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, data: bytes, **more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True, **more})
