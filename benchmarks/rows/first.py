"""The first call, with whatever has to be started and logged in for it, and the memory of a contestant at rest."""

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.baselines import BARE
from benchmarks.contestants import Contestant
from benchmarks.fairlead import FAIRLEAD
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_most
from benchmarks.stage import Stage
from benchmarks.stats import percentile

TRIALS = 7
SECONDS = 60
IDLE_TARGET_MIB = 100.0


@dataclass
class Firsts:
    """Of one contestant; times in milliseconds."""

    first: list[float] = field(default_factory=list)
    """From the connected MCP client to the answer of its first command, with the login if it comes only then."""
    cold: list[float] = field(default_factory=list)
    """The same from the start of the server's process."""
    idle_mib: list[float] = field(default_factory=list)
    """After that one call."""


async def measure(stage: Stage) -> Result:
    """Take turns, a fresh process each time."""
    taken = {contestant: Firsts() for contestant in stage.everybody}
    notes = {}
    for _ in range(1 if stage.quick else TRIALS):
        for contestant, firsts in taken.items():
            if contestant.name in notes:
                continue
            try:
                await _once(stage, contestant, firsts)
            except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; it is said on the page
                notes[contestant.name] = f"{contestant.name}: {stage.failed(contestant, 'first call', error)}"
    return Result(
        title="First call, and memory at rest",
        text=(
            f"Medians of {1 if stage.quick else TRIALS} fresh processes each, in turns. “First call” begins with a "
            "connected MCP client and ends with the first command's answer, including the SSH login where it happens "
            "only then. “Cold” begins with the start of the server's process. * logs in before it answers MCP at all, "
            "so that its first call counts its start. Memory is that of all the contestant's processes, after the call."
        ),
        header=("", "first call ms", "cold ms", "idle MiB"),
        rows=tuple(_row(contestant, firsts) for contestant, firsts in taken.items()),
        notes=tuple(notes.values()),
        targets=tuple(_targets(taken)),
    )


async def _once(stage: Stage, contestant: Contestant, firsts: Firsts) -> None:
    begin = time.perf_counter()
    async with asyncio.timeout(stage.within(SECONDS)), stage.opened(contestant) as session:
        connected = time.perf_counter()
        await session.run("true")
        end = time.perf_counter()
        idle = session.rss_mib()
    firsts.first.append((end - connected) * 1000)
    firsts.cold.append((end - begin) * 1000)
    firsts.idle_mib.append(idle)


def _first(contestant: Contestant, firsts: Firsts) -> float | None:
    """The first call with all that it needs, the median in milliseconds."""
    values = firsts.cold if contestant.early_login else firsts.first
    return percentile(values, 50) if values else None


def _row(contestant: Contestant, firsts: Firsts) -> tuple[str, ...]:
    def median(values: list[float]) -> str:
        return f"{percentile(values, 50):.0f}" if values else NOTHING

    first = _first(contestant, firsts)
    shown = NOTHING if first is None else f"{first:.0f}" + (" *" if contestant.early_login else "")
    if contestant is BARE:
        return (contestant.name, shown, NOTHING, NOTHING)
    return (contestant.name, shown, median(firsts.cold), median(firsts.idle_mib))


def _targets(taken: dict[Contestant, Firsts]) -> list[Target]:
    theirs = [first for peer, firsts in taken.items() if peer.peer and (first := _first(peer, firsts)) is not None]
    idle = [percentile(taken[each].idle_mib, 50) if taken[each].idle_mib else None for each in FAIRLEAD]
    return [
        ahead("first call", [_first(each, taken[each]) for each in FAIRLEAD], theirs, " ms"),
        at_most("idle memory", IDLE_TARGET_MIB, idle, " MiB", 1),
    ]
