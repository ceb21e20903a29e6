"""Run sections, one after the other, on one stage."""

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.peers.catalogue import peers as installed_peers
from benchmarks.peers.install import installed
from benchmarks.rows import concurrent, files, first, link, one_shot, output, sleeps, tool_list, upstream, upstream_size
from benchmarks.rows.section import Result
from benchmarks.stage import MAX_SESSIONS, Stage, cause, private_sshd
from tests.installing import cache

SECTIONS: dict[str, Callable[[Stage], Awaitable[Result]]] = {
    "first": first.measure,
    "calls": one_shot.measure,
    "concurrent": concurrent.measure,
    "output": output.measure,
    "files": files.measure,
    "sleeps": sleeps.measure,
    "link": link.measure,
    "tokens": tool_list.measure,
    "upstream": upstream.measure,
    "servers": upstream_size.measure,
}


async def measure(sections: Sequence[str], *, peers: bool, quick: bool) -> tuple[list[Result], list[str]]:
    """The results, and what could not be measured.

    Raises:
        RuntimeError: A peer cannot be installed.
    """
    rivals = installed_peers(installed()) if peers else ()
    # Not in the directory for temporary files: ssh-mcp wants no parent that others may write to.
    base = cache()
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base) as name:
        sshd = private_sshd(Path(name) / "sshd", {"MaxSessions": str(MAX_SESSIONS)})
        sshd.start()
        try:
            stage = Stage(directory=Path(name), sshd=sshd, peers=rivals, quick=quick)
            results = []
            for section in sections:
                stage.say(f"==> {section}")
                try:
                    results.append(await SECTIONS[section](stage))
                except Exception as error:  # noqa: BLE001 - the other sections are measured all the same
                    stage.problems.append(f"{section}: {cause(error)}")
            return results, stage.problems
        finally:
            sshd.stop()
