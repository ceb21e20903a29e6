"""A host that is 50 ms away, and an account whose shell is slow to start."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

from benchmarks.contestants import Contestant
from benchmarks.fairlead import FAIRLEAD
from benchmarks.ports import free_port
from benchmarks.processes import listening, python
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_most
from benchmarks.stage import MAX_SESSIONS, Stage
from benchmarks.stats import percentile
from tests.integration.sshd import Sshd

ROUND_TRIP_MS = 50.0
EVERY_SECONDS = 0.25
CALLS = 40
WARM_UP_CALLS = 3
SECONDS = 30
COMMAND = "true"
ROUND_TRIPS_TARGET = 1.15
STARTUP_MS = 80
BASHRC = f"sleep {STARTUP_MS / 1000}\n"
SAME = 1.1
"""What still counts as no more: p50s of one and the same thing differ by a few percent."""

FAR, PLAIN, SLOW = "50 ms away", "no start-up files", f".bashrc of {STARTUP_MS} ms"

Conditions = tuple[tuple[str, Sshd, int | None], ...]
"""Name, server, and the port of a proxy before it."""
Times = dict[Contestant, dict[str, float]]


async def measure(stage: Stage) -> Result:
    """One contestant after the other; with both shells at once, in turns."""
    taken: Times = {contestant: {} for contestant in stage.everybody}
    notes = [f"{each.name}: its SSH server is its own" for each in taken if each.own_server]
    with (
        stage.another_sshd("slow", options={"MaxSessions": str(MAX_SESSIONS)}, bashrc=BASHRC) as slow,
        _far(stage) as far_port,
    ):
        far: Conditions = ((FAR, stage.sshd, far_port),)
        shells: Conditions = ((PLAIN, stage.sshd, None), (SLOW, slow, None))
        for conditions in (far, shells):
            for contestant, times in taken.items():
                if contestant.own_server:
                    continue
                try:
                    times.update(await _paced(stage, contestant, conditions))
                except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; the page says it
                    notes.append(f"{contestant.name}: {stage.failed(contestant, conditions[0][0], error)}")
    return Result(
        title="A distant host, a slow shell",
        text=(
            f"A call every {EVERY_SECONDS * 1000:.0f} ms, p50 of {CALLS}. The distant host is behind a proxy that "
            f"holds every byte for {ROUND_TRIP_MS / 2:g} ms each way; one round trip is {ROUND_TRIP_MS:g} ms. The "
            "accounts without and with slow start-up files take turns."
        ),
        header=("", f"{FAR}, ms", "round trips", f"{PLAIN}, ms", f"{SLOW}, ms"),
        rows=tuple(_row(contestant, times) for contestant, times in taken.items()),
        notes=tuple(notes),
        targets=tuple(_targets(taken)),
    )


@contextlib.contextmanager
def _far(stage: Stage) -> Iterator[int]:
    """The port of a proxy that the host is far behind."""
    port = free_port()
    command = python("-m", "benchmarks.long_way", str(port), str(ROUND_TRIP_MS / 2000), str(stage.sshd.port))
    with listening(command, port=port, log=stage.directory / "long_way.log"):
        yield port


async def _paced(stage: Stage, contestant: Contestant, conditions: Conditions) -> dict[str, float]:
    """The p50 under each condition, in milliseconds; every session has a call every `EVERY_SECONDS`."""
    taken: dict[str, list[float]] = {name: [] for name, _, _ in conditions}
    async with contextlib.AsyncExitStack() as stack:
        sessions = {}
        for name, sshd, port in conditions:
            sessions[name] = await stack.enter_async_context(stage.opened(contestant, sshd, port=port))
            for _ in range(WARM_UP_CALLS):
                await asyncio.wait_for(sessions[name].run(COMMAND), SECONDS)
        for _ in range(5 if stage.quick else CALLS):
            for name, session in sessions.items():
                await asyncio.sleep(EVERY_SECONDS / len(sessions))
                start = time.perf_counter()
                await asyncio.wait_for(session.run(COMMAND), SECONDS)
                taken[name].append((time.perf_counter() - start) * 1000)
    return {name: percentile(values, 50) for name, values in taken.items()}


def _row(contestant: Contestant, times: dict[str, float]) -> tuple[str, ...]:
    far = times.get(FAR)
    return (
        contestant.name,
        f"{far:.1f}" if far else NOTHING,
        f"{far / ROUND_TRIP_MS:.2f}" if far else NOTHING,
        *(f"{times[condition]:.1f}" if condition in times else NOTHING for condition in (PLAIN, SLOW)),
    )


def _targets(taken: Times) -> list[Target]:
    theirs = [times[FAR] for contestant, times in taken.items() if contestant.peer and FAR in times]
    far = [taken[ours].get(FAR) for ours in FAIRLEAD]
    trips = [each / ROUND_TRIP_MS if each else None for each in far]
    slower = [
        taken[ours][SLOW] / taken[ours][PLAIN] if taken[ours].keys() >= {SLOW, PLAIN} else None for ours in FAIRLEAD
    ]
    return [
        at_most("round trips of a call, 50 ms away", ROUND_TRIPS_TARGET, trips),
        ahead("call, 50 ms away", far, theirs, " ms"),
        at_most("slow start-up files beside none, p50", SAME, slower, "x"),
    ]
