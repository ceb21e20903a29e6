"""Whether the endpoint is there: one look-out for all who wait for it."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
SHORTEST_PAUSE = 1.0
"""Seconds between two looks at least, once it has been away for a while, however many requests come."""


class Away(Exception):
    """The endpoint did not come back in time; the message says what was wrong with it last."""


class Availability:
    """Remembers that the endpoint is away, and looks out for it with back-off until it is back."""

    def __init__(self, probe: Callable[[], Awaitable[str | None]], say: Callable[[str], None]) -> None:
        """Assume that it is there.

        Args:
            probe: Asks the endpoint for a sign of life; None, or why there is none.
            say: Tells the person.
        """
        self._probe = probe
        self._say = say
        self._cause = ""
        self._lost_at = 0.0
        self._look_out: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()

    @property
    def away_for(self) -> float:
        """Seconds since it was lost; 0 where nothing is known to the contrary."""
        return 0.0 if self._look_out is None else asyncio.get_running_loop().time() - self._lost_at

    def lost(self, cause: str) -> None:
        """It is away: whoever waits now waits until it gives a sign of life."""
        self._cause = cause
        if self._look_out is None:
            self._lost_at = asyncio.get_running_loop().time()
            self._look_out = asyncio.create_task(self._look())

    async def wait(self, seconds: float | None) -> None:
        """Wait until it is there; not at all where nothing is known to the contrary.

        Args:
            seconds: At most so long; None: as long as it takes.

        Raises:
            Away: It is not back.
        """
        if self._look_out is None:
            return
        self._asked.set()
        done, _ = await asyncio.wait([self._look_out], timeout=seconds)
        if not done:
            raise Away(self._cause)

    def close(self) -> None:
        """Look out no more."""
        if self._look_out is not None:
            self._look_out.cancel()

    async def _look(self) -> None:
        delay = FIRST_DELAY
        while (cause := await self._probe()) is not None:
            if delay == FIRST_DELAY:
                self._say(f"The endpoint is away: {cause}. It is tried again until it is back.")
            self._cause = cause
            # Not in step with the other clients that lost it at the same moment.
            await asyncio.sleep(min(delay, SHORTEST_PAUSE) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, protects nothing
            self._asked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay - min(delay, SHORTEST_PAUSE)):
                    await self._asked.wait()
            delay = min(delay * 2, LONGEST_DELAY)
        self._look_out = None
        if delay != FIRST_DELAY:
            self._say("The endpoint is back.")
