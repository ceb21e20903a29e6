"""Programs that go on after this one: started detached, known by pid and start time.

So a recycled pid is never taken for the program that had it before.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import packages
from tests.cluster.console import ClusterError


@dataclass(frozen=True)
class Processes:
    """The detached programs of one cluster: one record and one log per name."""

    records: Path
    logs: Path

    def pid(self, name: str) -> int | None:
        """Return the pid of the named program while it runs, else None."""
        try:
            record = json.loads((self.records / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        pid = int(record["pid"])
        return pid if _identity(pid) == record["identity"] else None

    def ensure(
        self, name: str, command: Sequence[str], born: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> bool:
        """Start the program unless it runs with this very command; say whether it was started.

        `born` makes the context in which it is started, such as a pid namespace.
        """
        pid = self.pid(name)
        if pid is not None:
            if json.loads((self.records / f"{name}.json").read_text())["command"] == list(command):
                return False
            self.stop(name)
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.logs / f"{name}.log"), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        detached = ["env", "--chdir=/", *command]
        environment = {"PATH": packages.search_path()}  # no proxy or certificate setting of the caller's shell
        with born():
            # Not `subprocess`, whose objects expect to see the end of what they started.
            pid = os.posix_spawnp(detached[0], detached, environment, file_actions=streams, setsid=True)
        record = {"pid": pid, "identity": _identity(pid), "command": list(command)}
        (self.records / f"{name}.json").write_text(json.dumps(record))
        return True

    def stop(self, name: str, *, grace: float = 10) -> None:
        """End the program: SIGTERM, and SIGKILL after `grace` seconds."""
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, signal.SIGTERM if grace else signal.SIGKILL)
            deadline = time.monotonic() + grace
            while not self.gone(name):
                if grace and time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    deadline = float("inf")
                time.sleep(0.02)
        (self.records / f"{name}.json").unlink(missing_ok=True)

    def gone(self, name: str) -> bool:
        """Say whether the program has ended, collecting all ended programs that this very process started.

        A pid namespace lasts until the last of its processes is collected.
        """
        for record in self.records.glob("*.json"):
            _reap(int(json.loads(record.read_text())["pid"]))
        return self.pid(name) is None

    def tail(self, name: str, lines: int = 15) -> str:
        """Return the end of the program's log."""
        try:
            text = (self.logs / f"{name}.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def wait_until(check: Callable[[], bool], what: str, *, timeout: float, explain: Callable[[], str] = str) -> None:
    """Poll `check` until it is true.

    Raises ClusterError naming `what`, with what `explain` returns, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout:g} s in vain for {what}\n{explain()}".strip())
        time.sleep(0.05)


def _identity(pid: int) -> str | None:
    """Boot and start time of a living process, which together with the pid never repeat; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # from field 3 on, see proc(5)
    state, threads, start_time = fields[0], int(fields[17]), fields[19]
    if state in "ZX" and threads <= 1:  # with more, only its first thread has ended, and the others are still at it
        return None
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{start_time}"


def _reap(pid: int) -> None:
    """Collect the exit status if the process happens to be a child of this one."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
