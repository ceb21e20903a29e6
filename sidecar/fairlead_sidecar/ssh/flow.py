"""Bytes in both directions of one channel, with back-pressure: nothing grows because somebody does not read."""

import asyncio
from collections import deque
from collections.abc import Callable

HIGH = 256 * 1024
"""Bytes that wait for their reader before the channel is told to pause; beside them up to a channel's window."""
_LOW = 64 * 1024


class Inflow:
    """What came and was not read yet. One reader at a time."""

    def __init__(self, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """`pause` is called when too much waits, `resume` when most of it was read."""
        self._pause, self._resume = pause, resume
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._discarding = False
        self._waiter: asyncio.Future[None] | None = None
        self.paused = False

    @property
    def readable(self) -> bool:
        """Whether `read` would return at once: there are bytes, or their end."""
        return bool(self._pieces) or self._ended

    def feed(self, data: bytes) -> None:
        """More bytes."""
        if self._ended or self._discarding or not data:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH and not self.paused:
            self.paused = True
            self._pause()
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """No more will come; what waits can still be read, then `error` is raised, or the end is reported."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    def discard(self) -> None:
        """Nobody will read any more: drop what waits and what still comes."""
        self._discarding = True
        self._pieces.clear()
        self._take(self._size)

    async def read(self, most: int | None = None) -> bytes:
        """The next bytes, at most `most` of them; empty at the end.

        Raises:
            Exception: What `end` was given.
        """
        while not self._pieces:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._pieces.popleft()
        if most is not None and len(data) > most:
            self._pieces.appendleft(data[most:])
            data = data[:most]
        self._take(len(data))
        return data

    def _take(self, size: int) -> None:
        self._size -= size
        if self.paused and self._size <= _LOW:
            self.paused = False
            self._resume()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Outflow:
    """Whether more may be written."""

    def __init__(self) -> None:
        self._may = asyncio.Event()
        self._may.set()

    def pause(self) -> None:
        """Too much waits to be sent."""
        self._may.clear()

    def resume(self) -> None:
        """Most of it was sent, or nothing can be sent any more."""
        self._may.set()

    @property
    def paused(self) -> bool:
        """Whether `drain` would wait."""
        return not self._may.is_set()

    async def drain(self) -> None:
        """Wait until more may be written."""
        await self._may.wait()
