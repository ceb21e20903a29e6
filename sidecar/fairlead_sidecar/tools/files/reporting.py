"""Progress and time of searches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from fairlead_sidecar.tools.spec import Call

INTERVAL = 1.0
"""Seconds between two notifications."""


def seconds(call: Call) -> float:
    """How long a search may take, so that what it found is given before clients lose patience."""
    return min(call.limits.command_timeout, call.limits.foreground_timeout)


@contextlib.asynccontextmanager
async def reporting(call: Call, state: Callable[[], tuple[int, str]]) -> AsyncIterator[None]:
    """Report while the block runs how far it is: a number that grows, and words."""
    task = asyncio.create_task(_run(call, state))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _run(call: Call, state: Callable[[], tuple[int, str]]) -> None:
    told = -1
    while call.progress is not None:
        await asyncio.sleep(INTERVAL)
        value, words = state()
        if value > told:
            told = value
            await call.progress(float(value), words)
