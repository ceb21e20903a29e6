"""The time that a request to an upstream server may take."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from fairlead_sidecar.errors import CallTimedOut


class CallClock:
    """Bounds one request. Progress does not extend it; the time that a person takes to answer does not count.

    Args:
        seconds: How long it may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout: asyncio.Timeout | None = None
        self._left = seconds
        self._pauses = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the block for no longer.

        Raises:
            CallTimedOut: It took longer, and was cancelled.
        """
        self._timeout = timeout = asyncio.timeout(self._seconds)
        try:
            async with timeout:
                yield
        except TimeoutError:
            if not timeout.expired():
                raise
            raise CallTimedOut(f"There was no answer within {self._seconds:g} s; the call was cancelled.") from None
        finally:
            self._timeout = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stand still while the block runs; several may."""
        self._pauses += 1
        if self._pauses == 1 and self._timeout is not None and (due := self._timeout.when()) is not None:
            self._left = max(0.0, due - asyncio.get_running_loop().time())
            self._reschedule(None)
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._reschedule(asyncio.get_running_loop().time() + self._left)

    def _reschedule(self, when: float | None) -> None:
        # Nothing to do for one that has run out already.
        if self._timeout is not None and not self._timeout.expired():
            with contextlib.suppress(RuntimeError):
                self._timeout.reschedule(when)
