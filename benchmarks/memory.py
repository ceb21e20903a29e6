"""How much memory a contestant takes while something goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from benchmarks.contestants import Session

SAMPLE_SECONDS = 0.01


@dataclass
class Peak:
    """Resident memory of all its processes, MiB."""

    before: float
    highest: float

    @property
    def growth(self) -> float:
        """How far it went above where it stood before."""
        return self.highest - self.before


@contextlib.asynccontextmanager
async def watched(session: Session) -> AsyncIterator[Peak]:
    """Follow the contestant's memory while the block runs."""
    before = session.rss_mib()
    peak = Peak(before, before)

    async def sample() -> None:
        while True:
            peak.highest = max(peak.highest, session.rss_mib())
            await asyncio.sleep(SAMPLE_SECONDS)

    sampler = asyncio.create_task(sample())
    try:
        yield peak
    finally:
        sampler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampler
        peak.highest = max(peak.highest, session.rss_mib())
