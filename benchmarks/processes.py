"""Server processes under measurement, each on a free port of 127.0.0.1."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

STARTUP_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    process: psutil.Process
    token: str | None = None

    def rss_mib(self) -> float:
        """Resident memory now, MiB."""
        return float(self.process.memory_info().rss) / 2**20

    def cpu_seconds(self) -> float:
        """User and system time spent so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def running(command: Sequence[str], *, url: str, log: Path, token: str | None = None) -> Iterator[Server]:
    """Start a server and wait until its port speaks HTTP; it ends with the block.

    Raises:
        RuntimeError: It ended at once; the message holds what it wrote.
        TimeoutError: It does not answer.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def up() -> bool:
        if process.poll() is not None:
            msg = f"{' '.join(command[:4])} … ended with {process.returncode}:\n{log.read_text(errors='replace')}"
            raise RuntimeError(msg)
        return _answers(url)

    try:
        wait_for(up, f"{url} to answer")
        yield Server(url=url, process=psutil.Process(process.pid), token=token)
    finally:
        process.terminate()
        process.wait(STARTUP_SECONDS)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition()` holds.

    Raises:
        TimeoutError: Not within `STARTUP_SECONDS`.
    """
    deadline = time.monotonic() + STARTUP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            msg = f"waited {STARTUP_SECONDS:g} s in vain for {what}"
            raise TimeoutError(msg)
        time.sleep(0.05)


def connected(internal_port: int) -> bool:
    """Whether a sidecar has its SSH connection, as it says on its internal port."""
    snapshot = httpx2.get(f"http://127.0.0.1:{internal_port}/statusz", timeout=5, trust_env=False).json()
    return bool(snapshot["link"]["state"] == "Connected")


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def _answers(url: str) -> bool:
    try:
        httpx2.get(url, timeout=5, trust_env=False)
    except httpx2.TransportError:
        return False
    return True
