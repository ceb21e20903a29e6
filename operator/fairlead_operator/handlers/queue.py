"""One queue of keys for all work: a key is worked on by one worker at a time, and comes back after a failure.

Adding a key that waits already does nothing; adding one that is being worked on makes it run once more afterwards.
So many events about one object cost one or two runs, and no event is lost.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from fairlead_operator import metrics
from fairlead_operator.cluster.errors import ApiError

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_RETRY = 0.2
LAST_RETRY = 60.0


class WorkQueue(Generic[K]):
    """A queue of keys with back-off for each."""

    def __init__(self, work: Callable[[K], Awaitable[float | None]]) -> None:
        """Make a queue.

        Args:
            work: Works on one key; returns after how many seconds to come back, None for not before the next event.
        """
        self._work = work
        self._ready: deque[K] = deque()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()

    def add(self, key: K) -> None:
        """Work on the key as soon as a worker is free."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            metrics.QUEUE_DEPTH.set(len(self._ready))
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Work on the key in a while, or sooner if something is added before."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(self._worker())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key = self._ready.popleft()
            metrics.QUEUE_DEPTH.set(len(self._ready))
            self._queued.discard(key)
            self._running.add(key)
            try:
                await self._one(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _one(self, key: K) -> None:
        try:
            again_in = await self._work(key)
        except Exception as error:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            delay = min(FIRST_RETRY * 2**failures, LAST_RETRY) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            expected = isinstance(error, ApiError)
            logger.warning(
                "working on %s failed, again in %.1f s: %s", key, delay, error, exc_info=None if expected else error
            )
            self.add_after(key, delay)
            return
        self._failures.pop(key, None)
        if again_in is not None:
            self.add_after(key, again_in)
