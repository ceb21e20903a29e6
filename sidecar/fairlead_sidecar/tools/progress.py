"""A command's live output as progress notifications, at a pace that any client can take, with nothing hidden in it."""

import asyncio
import codecs
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from fairlead_sidecar.ssh.result import Stream
from fairlead_sidecar.tools.sanitize import visible

INTERVAL = 0.2
"""Seconds between two notifications, at least."""
MESSAGE_CHARACTERS = 8192
"""What one notification carries at most; the newest output is kept and the gap is named."""


class LiveOutput:
    """Takes output as fast as it comes and reports it in slices. The command never waits for a slow client."""

    def __init__(self, report: Callable[[float, str], Awaitable[None]]) -> None:
        self._report = report
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders: dict[Stream, codecs.IncrementalDecoder] = {
            "stdout": decoder("replace"),
            "stderr": decoder("replace"),
        }
        self._pending = ""
        self._skipped = 0
        self._total = 0
        self._news = asyncio.Event()

    def write(self, stream: Stream, data: bytes) -> None:
        """Take a piece of `stdout` or `stderr`."""
        self._total += len(data)
        text = self._pending + self._decoders[stream].decode(data)
        self._skipped += max(0, len(text) - MESSAGE_CHARACTERS)
        self._pending = text[-MESSAGE_CHARACTERS:]
        self._news.set()

    @contextlib.asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Report while the block runs; what is left at its end is in the result anyway."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            # A carriage return at the end may be half of a line's end.
            text = self._pending.removesuffix("\r")
            if text:
                gap = f"[… {self._skipped} characters left out …]\n" if self._skipped else ""
                self._pending, self._skipped = self._pending[len(text) :], 0
                await self._report(float(self._total), gap + visible(text)[0])
            await asyncio.sleep(INTERVAL)
