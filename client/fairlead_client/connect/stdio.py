"""The client's end: lines of JSON on this process's standard input and output."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError

from fairlead_client.connect.lines import Lines

_CHUNK = 256 * 1024
_AHEAD = 1000
"""Lines that are read ahead, so that the end of the input is seen while an endpoint is waited for."""


class Stdio:
    """Standard input and output, taken over: whatever else prints goes to standard error from now on."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._output = os.dup(1)
        os.dup2(2, 1)
        for descriptor in (0, self._output):
            # Whoever started this may have left them in another mode, in which a full pipe looks like an error.
            os.set_blocking(descriptor, True)
        self._turn = asyncio.Lock()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(_AHEAD)
        self.ended = asyncio.Event()
        """Set as soon as the client has closed its end, whatever is still unread."""

    def start(self) -> None:
        """Begin to read."""
        # A thread of its own, because a read can't be interrupted; `os.read`, because it holds no lock when it is left.
        threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True).start()

    async def lines(self) -> AsyncIterator[bytes]:
        """What the client writes, line by line."""
        while True:
            yield await self._lines.get()

    async def write(self, line: bytes) -> None:
        """Write one line, and wait until the client has taken it (or the pipe)."""
        async with self._turn:
            try:
                await asyncio.to_thread(self._write, line + b"\n")
            except OSError:
                self.ended.set()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._output, view) :]

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        lines = Lines()
        try:
            while piece := _read_input():
                for line in lines.feed(piece):
                    asyncio.run_coroutine_threadsafe(self._lines.put(line), loop).result()
            loop.call_soon_threadsafe(self.ended.set)
        except (RuntimeError, CancelledError):
            # The loop is closed: there is nobody left to tell.
            return


def _read_input() -> bytes:
    try:
        return os.read(0, _CHUNK)
    except OSError:
        return b""
