"""Many commands at once."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.baselines import BARE, NOOP_HANDSHAKE, NOOP_MODERN
from benchmarks.contestants import Contestant, Session
from benchmarks.fairlead import FAIRLEAD
from benchmarks.rows.one_shot import COMMAND, PAIRS
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_least, none_lost
from benchmarks.stage import Stage

AT_ONCE = 32
CALLS = 640
ROUNDS = 4
"""For the limits and Fairlead, in turns. A peer has one round: one that breaks would need a new process."""
ROUND_SECONDS = 45
SHARE_TARGET = 0.9


@dataclass
class Counted:
    """Of one contestant, over its rounds."""

    asked: int = 0
    answered: int = 0
    seconds: float = 0.0
    """Until the last answer of each round."""
    reason: str = ""
    """Why calls were lost."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def complete(self) -> bool:
        """Whether every call was answered."""
        return 0 < self.asked == self.answered


async def measure(stage: Stage) -> Result:
    """Those that are compared take turns; then the peers, one after the other."""
    calls = 2 * AT_ONCE if stage.quick else CALLS
    taken = {contestant: Counted() for contestant in stage.turn_takers}
    ours = (BARE, NOOP_HANDSHAKE, NOOP_MODERN, *FAIRLEAD)
    for _ in range(1 if stage.quick else ROUNDS):
        for contestant in ours:
            await _round(stage, contestant, calls, taken[contestant])
    for contestant in stage.peers:
        await _round(stage, contestant, calls, taken[contestant])
    notes = tuple(f"{contestant.name}: {counted.reason}" for contestant, counted in taken.items() if counted.reason)
    return Result(
        title=f"{AT_ONCE} commands at once",
        text=(
            f"{AT_ONCE} workers of one client, {calls} calls a round; the limits and Fairlead {ROUNDS} rounds in "
            "turns, peers one. A rate counts answers and ends with the last one. “Both limits” is 1 / (1/A + 1/B): "
            "what one client that did the bare commands and the no-op calls would reach."
        ),
        header=("", "calls/s", "answered", "of both limits"),
        rows=tuple(_row(taken, contestant) for contestant in stage.turn_takers),
        notes=notes,
        targets=tuple(_targets(taken)),
    )


async def _round(stage: Stage, contestant: Contestant, calls: int, counted: Counted) -> None:
    try:
        async with stage.opened(contestant) as session:
            await asyncio.wait_for(session.run(COMMAND), stage.within(ROUND_SECONDS))
            await _flood(session, calls, counted, stage.within(ROUND_SECONDS))
    except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; it is said on the page
        counted.reason = stage.failed(contestant, f"{AT_ONCE} at once", error)


async def _flood(session: Session, calls: int, counted: Counted, most: float) -> None:
    start = last = time.perf_counter()
    left = calls
    answered = 0

    async def worker() -> None:
        nonlocal left, last, answered
        while left:
            left -= 1
            try:
                await session.run(COMMAND)
            except Exception as error:  # noqa: BLE001 - a lost call is counted, whatever the reason
                counted.reason = f"{type(error).__name__}: {error}"[:200]
            else:
                answered += 1
                last = time.perf_counter()

    workers = [asyncio.create_task(worker()) for _ in range(AT_ONCE)]
    _, unfinished = await asyncio.wait(workers, timeout=most)
    for task in unfinished:
        task.cancel()
        counted.reason = f"calls were not answered within {most:g} s"
    await asyncio.gather(*workers, return_exceptions=True)
    counted.asked += calls
    counted.answered += answered
    counted.seconds += last - start


def _share(taken: dict[Contestant, Counted], ours: Contestant) -> float | None:
    noop = dict(PAIRS).get(ours)
    if noop is None or not all(taken[each].rate for each in (ours, noop, BARE)):
        return None
    return taken[ours].rate * (1 / taken[BARE].rate + 1 / taken[noop].rate)


def _row(taken: dict[Contestant, Counted], contestant: Contestant) -> tuple[str, ...]:
    counted = taken[contestant]
    share = _share(taken, contestant)
    return (
        contestant.name,
        f"{counted.rate:.0f}" if counted.answered else NOTHING,
        f"{counted.answered} of {counted.asked}",
        f"{share:.2f}" if share is not None else "",
    )


def _targets(taken: dict[Contestant, Counted]) -> list[Target]:
    theirs = [counted.rate for contestant, counted in taken.items() if contestant.peer and counted.complete]
    lost = [taken[ours].asked - taken[ours].answered if taken[ours].asked else None for ours in FAIRLEAD]
    rates = [taken[ours].rate or None for ours in FAIRLEAD]
    return [
        at_least(f"{AT_ONCE} at once, share of both limits", SHARE_TARGET, [_share(taken, ours) for ours, _ in PAIRS]),
        none_lost(f"{AT_ONCE} at once, calls lost", lost),
        ahead(f"{AT_ONCE} at once", rates, theirs, " calls/s", more=True),
    ]
