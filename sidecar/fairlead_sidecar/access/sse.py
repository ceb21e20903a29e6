"""The answer to a request of a handshake session: a stream of events, or JSON where it comes soon and by itself.

A client has to take both (Streamable HTTP, "Sending Messages to the Server"); JSON costs it and us less.
"""

import asyncio
from collections.abc import Callable, Mapping

from starlette.types import Scope, Send

from fairlead_sidecar.access.responses import HELD_KEY, OPENING_SECONDS
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

    def __init__(self, scope: Scope, send: Send, headers: Mapping[bytes, bytes], *, first: bytes | None) -> None:
        """Begin one soon; `first`, of a stream of events, says nothing that the client could use before it breaks."""
        self._send = send
        self._headers = [*headers.items()]
        self._first = first
        self._holds: Callable[[int], None] = scope.get(HELD_KEY, lambda _: None)
        self._writing = asyncio.Lock()
        self._streams = False
        self._ended = False
        self._opening: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(OPENING_SECONDS, self._open_by_itself)

    async def send(self, text: str, number: str) -> None:
        """Write a message, whose JSON has no line breaks, as the event of this id."""
        async with self._writing:
            await self._open()
            if len(text) <= PIECE_CHARACTERS:
                await self._write(event(text, number))
                return
            await self._write(_head(number))
            await self._write_pieces(text)
            await self._write(_END)

    async def answer(self, text: str, number: str) -> bool:
        """Write the last message; whether it went out as JSON, so that nobody can ask for its event again."""
        if self._streams:
            await self.send(text, number)
            return False
        self._timer.cancel()
        self._streams = self._ended = True
        headers = [(b"content-type", b"application/json"), *self._headers]
        if len(text) > PIECE_CHARACTERS:
            # Clients of the Python SDK take no event above 1 MiB, but JSON of any length.
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._write_pieces(text)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return True
        body = text.encode()
        headers.insert(1, (b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        return True

    async def ping(self) -> None:
        """Show that it goes on."""
        async with self._writing:
            if not self._ended:
                await self._open()
                await self._write(PING)

    async def end(self) -> None:
        """No more comes."""
        async with self._writing:
            if not self._ended:
                await self._open()
                self._ended = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def close(self) -> None:
        """Whether it was ended or given up: nothing more is written by itself."""
        self._timer.cancel()
        if self._opening is not None:
            self._opening.cancel()

    def _open_by_itself(self) -> None:
        self._opening = asyncio.get_running_loop().create_task(self._open_in_turn())

    async def _open_in_turn(self) -> None:
        async with self._writing:
            await self._open()

    async def _open(self) -> None:
        if self._streams:
            return
        self._timer.cancel()
        self._streams = True
        headers = [*_HEADERS.items(), *self._headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._first is not None:
            await self._write(self._first)

    async def _write_pieces(self, text: str) -> None:
        try:
            for start in range(0, len(text), PIECE_CHARACTERS):
                self._holds(max(0, len(text) - start - PIECE_CHARACTERS))
                await self._write(text[start : start + PIECE_CHARACTERS].encode())
        finally:
            self._holds(0)

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
