"""Commands one after the other."""

import asyncio
import contextlib
import time

from benchmarks.baselines import BARE, NOOP_HANDSHAKE, NOOP_MODERN
from benchmarks.contestants import Contestant, Session
from benchmarks.fairlead import HANDSHAKE, MODERN, STDIO
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_most
from benchmarks.stage import Stage
from benchmarks.stats import percentile

COMMAND = "true"
ROUNDS = 30
CALLS_PER_TURN = 10
WARM_UP_CALLS = 20
CALL_SECONDS = 30
RATIO_TARGET = 1.0
PAIRS = ((HANDSHAKE, NOOP_HANDSHAKE), (MODERN, NOOP_MODERN))
"""Each way of Fairlead's with the MCP call that it is compared with."""

Times = dict[Contestant, list[float]]


async def measure(stage: Stage) -> Result:
    """All are open at once and take turns, so that whatever else the machine does hits all alike."""
    notes: list[str] = []
    times: Times = {contestant: [] for contestant in stage.turn_takers}
    cpu: dict[Contestant, float] = {}
    async with contextlib.AsyncExitStack() as stack:
        sessions: dict[Contestant, Session] = {}
        for contestant in stage.turn_takers:
            try:
                sessions[contestant] = await stack.enter_async_context(stage.opened(contestant))
                await _calls(sessions[contestant], 2 if stage.quick else WARM_UP_CALLS)
            except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; it is said on the page
                sessions.pop(contestant, None)
                notes.append(f"{contestant.name}: {stage.failed(contestant, 'one command at a time', error)}")
        spent = {contestant: session.cpu_seconds() for contestant, session in sessions.items()}
        for _ in range(2 if stage.quick else ROUNDS):
            for contestant, session in tuple(sessions.items()):
                try:
                    times[contestant] += await _calls(session, CALLS_PER_TURN)
                except Exception as error:  # noqa: BLE001 - as above
                    del sessions[contestant]
                    notes.append(f"{contestant.name}: {stage.failed(contestant, 'one command at a time', error)}")
        for contestant, session in sessions.items():
            cpu[contestant] = (session.cpu_seconds() - spent[contestant]) * 1000 / len(times[contestant])
    return Result(
        title="One command at a time",
        text=(
            f"`{COMMAND}`, {ROUNDS} rounds of {CALLS_PER_TURN} calls each, in turns, each with the login done before. "
            "A is the bare SSH command and B the no-op MCP call; Fairlead's share is what it takes beyond A + B. "
            "CPU is what the contestant's processes spend on a call, which other work on the machine hardly changes."
        ),
        header=("", "p50 ms", "p95 ms", "p50 / (A + B)", "CPU ms a call"),
        rows=tuple(_row(times, cpu, contestant) for contestant in stage.turn_takers),
        notes=tuple(notes),
        targets=tuple(_targets(times)),
    )


async def _calls(session: Session, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        async with asyncio.timeout(CALL_SECONDS):
            await session.run(COMMAND)
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def _ratio(times: Times, ours: Contestant) -> float | None:
    """Its p50 beside that of the limits together; None where one was not measured."""
    noop = dict(PAIRS).get(ours)
    if noop is None or not all(times[each] for each in (ours, noop, BARE)):
        return None
    return percentile(times[ours], 50) / (percentile(times[BARE], 50) + percentile(times[noop], 50))


def _row(times: Times, cpu: dict[Contestant, float], contestant: Contestant) -> tuple[str, ...]:
    values = times[contestant]
    ratio = _ratio(times, contestant)
    return (
        contestant.name,
        f"{percentile(values, 50):.2f}" if values else NOTHING,
        f"{percentile(values, 95):.2f}" if values else NOTHING,
        f"{ratio:.2f}" if ratio is not None else "",
        f"{cpu[contestant]:.1f}" if contestant in cpu and contestant is not BARE else "",
    )


def _targets(times: Times) -> list[Target]:
    ways = (HANDSHAKE, MODERN, STDIO)
    found = [at_most("one command, p50 / (A + B)", RATIO_TARGET, [_ratio(times, ours) for ours, _ in PAIRS])]
    for percent in (50, 95):
        theirs = [percentile(values, percent) for peer, values in times.items() if peer.peer and values]
        values = [percentile(times[ours], percent) if times[ours] else None for ours in ways]
        found.append(ahead(f"one command, p{percent}", values, theirs, " ms"))
    return found
