"""A large file to the host and back."""

import asyncio
import os
import time
from dataclasses import dataclass

from benchmarks.contestants import Contestant
from benchmarks.fairlead import FAIRLEAD
from benchmarks.rows.section import NOTHING, Result, Target, ahead
from benchmarks.stage import Stage

MEGABYTES = 100
SECONDS = 120
CHUNK_BYTES = 2**20


@dataclass
class Moved:
    """MB/s through one contestant; None: not measured."""

    up: float | None = None
    down: float | None = None


async def measure(stage: Stage) -> Result:
    """A fresh process each; what comes back is compared."""
    megabytes = 5 if stage.quick else MEGABYTES
    source = stage.directory / "file"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(CHUNK_BYTES)[: 10**6])
    taken = {contestant: Moved() for contestant in stage.everybody}
    notes = []
    for contestant, moved in taken.items():
        try:
            reason = await _there_and_back(stage, contestant, moved, megabytes)
        except Exception as error:  # noqa: BLE001 - a contestant may fail in any way; it is said on the page
            reason = stage.failed(contestant, "files", error)
        if reason:
            notes.append(f"{contestant.name}: {reason}")
    return Result(
        title=f"A file of {megabytes} MB",
        text=(
            f"Random bytes, MB/s, at most {SECONDS} s a way. The peers move a file of the machine they run on, which "
            "never passes through MCP; Fairlead's tools carry it in MCP messages, because its agent is elsewhere."
        ),
        header=("", "up", "down"),
        rows=tuple((contestant.name, _cell(moved.up), _cell(moved.down)) for contestant, moved in taken.items()),
        notes=tuple(notes),
        targets=tuple(_targets(taken)),
    )


async def _there_and_back(stage: Stage, contestant: Contestant, moved: Moved, megabytes: int) -> str:
    """Fill in `moved`; the reason why it stays empty."""
    source, back = stage.directory / "file", stage.directory / "file-back"
    async with stage.opened(contestant) as session:
        if session.upload is None or session.download is None:
            return "its tools move no files"
        await asyncio.wait_for(session.run("rm -f large-file"), 30)
        remote = f"{stage.sshd.remote_home}/large-file"
        start = time.perf_counter()
        await asyncio.wait_for(session.upload(source, remote), stage.within(SECONDS))
        moved.up = megabytes / (time.perf_counter() - start)
        back.unlink(missing_ok=True)
        start = time.perf_counter()
        await asyncio.wait_for(session.download(remote, back), stage.within(SECONDS))
        moved.down = megabytes / (time.perf_counter() - start)
        same = await asyncio.to_thread(lambda: back.read_bytes() == source.read_bytes())
        return "" if same else "the file came back changed"


def _cell(rate: float | None) -> str:
    return NOTHING if rate is None else f"{rate:.0f}"


def _targets(taken: dict[Contestant, Moved]) -> list[Target]:
    found = []
    for way in ("up", "down"):
        theirs = [rate for peer, moved in taken.items() if peer.peer and (rate := getattr(moved, way)) is not None]
        ours = [getattr(taken[each], way) for each in FAIRLEAD]
        found.append(ahead(f"a file {way}", ours, theirs, " MB/s", more=True))
    return found
