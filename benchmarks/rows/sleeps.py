"""A hundred commands that only wait, on servers with few and with many sessions."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.contestants import Contestant
from benchmarks.fairlead import FAIRLEAD
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_most, none_lost
from benchmarks.stage import Stage, cause
from tests.integration.sshd import Sshd

COMMANDS = 100
COMMAND = "sleep 1"
SECONDS = 45
SERVERS: tuple[tuple[str, dict[str, str], float], ...] = (
    ("MaxSessions 100", {"MaxSessions": "100"}, 1.5),
    ("default sshd (MaxSessions 10)", {}, 3.0),
)
"""Name, options, and Fairlead's target in seconds."""


@dataclass(frozen=True)
class Slept:
    """A round of one contestant."""

    seconds: float
    """Until the last answer."""
    answered: int
    reason: str = ""
    """Why others were lost, the first one."""


async def measure(stage: Stage) -> Result:
    """A fresh process for each server."""
    taken: dict[Contestant, dict[str, Slept]] = {contestant: {} for contestant in stage.everybody}
    notes: list[str] = []
    for number, (name, options, _) in enumerate(SERVERS):
        with stage.another_sshd(f"sleeps-{number}", options=options) as sshd:
            for contestant, slept in taken.items():
                if contestant.own_server and not options:
                    continue
                try:
                    slept[name] = await _all_at_once(stage, contestant, sshd)
                    if reason := slept[name].reason:
                        notes.append(f"{contestant.name}, {name}: {reason}")
                except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; it is said on the page
                    notes.append(f"{contestant.name}, {name}: {stage.failed(contestant, f'sleeps, {name}', error)}")
    return Result(
        title=f"{COMMANDS} x `{COMMAND}` at once",
        text=(
            f"After one call that logs in. Seconds until the last answer (answered of {COMMANDS}); at most {SECONDS} "
            "s. The default sshd also has MaxStartups 10:30:100. m2m's SSH server is its own and knows no such limits."
        ),
        header=("", *(name for name, _, _ in SERVERS)),
        rows=tuple(
            (contestant.name, *(_cell(slept.get(name)) for name, _, _ in SERVERS))
            for contestant, slept in taken.items()
        ),
        notes=tuple(notes),
        targets=tuple(_targets(taken)),
    )


async def _all_at_once(stage: Stage, contestant: Contestant, sshd: Sshd) -> Slept:
    async with stage.opened(contestant, sshd) as session:
        await asyncio.wait_for(session.run("true"), stage.within(SECONDS))
        start = last = time.perf_counter()
        answered = 0

        async def one() -> None:
            nonlocal last, answered
            await session.run(COMMAND)
            answered += 1
            last = time.perf_counter()

        tasks = [asyncio.create_task(one()) for _ in range(COMMANDS)]
        _, unfinished = await asyncio.wait(tasks, timeout=stage.within(SECONDS))
        for task in unfinished:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [cause(end) for end in ends if isinstance(end, Exception)]
        late = [f"{len(unfinished)} had no answer in time"] if unfinished else []
        return Slept(last - start, answered, "; ".join([*failures[:1], *late]))


def _cell(slept: Slept | None) -> str:
    if slept is None or not slept.answered:
        return NOTHING
    return f"{slept.seconds:.2f} ({slept.answered})"


def _targets(taken: dict[Contestant, dict[str, Slept]]) -> list[Target]:
    found = []
    for name, _, limit in SERVERS:
        figure = f"{COMMANDS} x `{COMMAND}`, {name}"
        theirs = [
            slept[name].seconds
            for contestant, slept in taken.items()
            if contestant.peer and name in slept and slept[name].answered == COMMANDS
        ]
        ours = [taken[each].get(name) for each in FAIRLEAD]
        seconds = [each.seconds if each and each.answered == COMMANDS else None for each in ours]
        found += [
            at_most(figure, limit, seconds, " s"),
            none_lost(f"{figure}, lost", [COMMANDS - each.answered if each else None for each in ours]),
            ahead(figure, seconds, theirs, " s"),
        ]
    return found
