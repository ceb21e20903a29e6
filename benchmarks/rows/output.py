"""Commands that write much."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.baselines import BARE
from benchmarks.contestants import Contestant
from benchmarks.fairlead import FAIRLEAD
from benchmarks.memory import watched
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_most
from benchmarks.stage import Stage

MEGABYTES = (1, 10, 100)
SECONDS = 75
GROWTH_TARGET_MIB = 32.0


@dataclass(frozen=True)
class Written:
    """One command's output through one contestant."""

    seconds: float
    peak_mib: float
    growth_mib: float
    answered_share: float
    """How much of it was in the answer."""


Taken = dict[Contestant, dict[int, Written]]


async def measure(stage: Stage) -> Result:
    """A fresh process each, the sizes one after the other."""
    sizes = MEGABYTES[:2] if stage.quick else MEGABYTES
    taken: Taken = {contestant: {} for contestant in stage.everybody}
    notes = []
    for contestant, written in taken.items():
        for size in sizes:
            try:
                written[size] = await _once(stage, contestant, size)
            except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; it is said on the page
                notes.append(f"{contestant.name}: {stage.failed(contestant, f'{size} MB of output', error)}")
                break
    cut = sorted({c.name for c, written in taken.items() for w in written.values() if w.answered_share < 1})
    if cut:
        notes.append(
            f"{', '.join(cut)}: the answer counts all bytes and carries the beginning and the end; the others carry all"
        )
    return Result(
        title="Much output",
        text=(
            f"`yes | head -c N`, the peers' limits raised, a fresh process for each size, at most {SECONDS} s. Each "
            "cell: seconds / peak resident memory of its processes, MiB (growth during the call)."
        ),
        header=("", *(f"{size} MB" for size in sizes)),
        rows=tuple(
            (contestant.name, *(_cell(contestant, written.get(size)) for size in sizes))
            for contestant, written in taken.items()
        ),
        notes=tuple(notes),
        targets=tuple(_targets(taken, sizes)),
    )


async def _once(stage: Stage, contestant: Contestant, megabytes: int) -> Written:
    size = megabytes * 10**6
    async with asyncio.timeout(stage.within(SECONDS) + 15), stage.opened(contestant) as session:
        await session.run("true")
        async with watched(session) as peak:
            start = time.perf_counter()
            async with asyncio.timeout(stage.within(SECONDS)):
                ran = await session.run(f"yes | head -c {size}")
            seconds = time.perf_counter() - start
    if abs(ran.counted_bytes - size) > 1:  # some strip the last line end
        msg = f"{ran.counted_bytes} of {size} bytes were answered or counted"
        raise RuntimeError(msg)
    return Written(seconds, peak.highest, peak.growth, min(1.0, (ran.answered_bytes + 1) / size))


def _cell(contestant: Contestant, written: Written | None) -> str:
    if written is None:
        return NOTHING
    if contestant is BARE:
        return f"{written.seconds:.2f}"
    return f"{written.seconds:.2f} / {written.peak_mib:.0f} (+{written.growth_mib:.0f})"


def _targets(taken: Taken, sizes: tuple[int, ...]) -> list[Target]:
    found = []
    for size in sizes:
        theirs = [written[size] for peer, written in taken.items() if peer.peer and size in written]
        ours = [taken[each].get(size) for each in FAIRLEAD]
        for what, unit in (("seconds", " s"), ("peak_mib", " MiB")):
            figure = f"{size} MB of output, {'time' if what == 'seconds' else 'peak memory'}"
            values = [getattr(each, what) if each else None for each in ours]
            found.append(ahead(figure, values, [getattr(each, what) for each in theirs], unit))
    growth = [each.growth_mib if each else None for each in (taken[way].get(sizes[-1]) for way in FAIRLEAD)]
    found.append(at_most(f"memory growth at {sizes[-1]} MB of output", GROWTH_TARGET_MIB, growth, " MiB", 1))
    return found
