"""Deliveries to somebody who may be slow: in order, bounded, and never in the way of the one who brings them."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

Delivery = Callable[[], Awaitable[None]]


class Inbox:
    """Runs deliveries one after the other in a task that lives while there are any.

    Args:
        limit: How many may wait; beyond it the oldest are dropped, for a newer progress or log message says more.
    """

    def __init__(self, limit: int) -> None:
        self._waiting: deque[Delivery] = deque(maxlen=limit)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def put(self, delivery: Delivery) -> None:
        """Have it done after those before it."""
        self.dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(delivery)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def drained(self, timeout: float) -> None:
        """Wait until all is delivered; what is not after `timeout` seconds is dropped."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=timeout)
            self.close()

    def close(self) -> None:
        """Drop what waits, also the delivery that is under way."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        while self._waiting:
            delivery = self._waiting.popleft()
            try:
                await delivery()
            except Exception:  # whatever became of the receiver, the next delivery may be for another one
                logger.debug("A notification could not be delivered", exc_info=True)
