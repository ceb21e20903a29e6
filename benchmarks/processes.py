"""Server processes under measurement, each on a free port of 127.0.0.1."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx2
import psutil

STARTUP_SECONDS = 30.0
STOP_SECONDS = 10.0


@contextlib.contextmanager
def running(
    command: Sequence[str], *, url: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """Start a server and wait until its port speaks HTTP; it ends with the block.

    Raises:
        RuntimeError: It ended at once; the message holds what it wrote.
        TimeoutError: It does not answer.
    """
    with _started(command, lambda: _answers(url), url, log=log, environment=environment) as process:
        yield process


@contextlib.contextmanager
def listening(
    command: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """As `running`, for a server of another protocol: wait until its port is open."""
    with _started(command, lambda: _open(port), f"port {port}", log=log, environment=environment) as process:
        yield process


@contextlib.contextmanager
def _started(
    command: Sequence[str], ready: Callable[[], bool], what: str, *, log: Path, environment: Mapping[str, str] | None
) -> Iterator[psutil.Process]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)

    def up() -> bool:
        if process.poll() is not None:
            msg = f"{Path(command[0]).name} … ended with {process.returncode}:\n{log.read_text(errors='replace')}"
            raise RuntimeError(msg)
        return ready()

    try:
        wait_for(up, f"{what} to answer")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


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
        time.sleep(0.01)


def connected(internal_port: int) -> bool:
    """Whether a sidecar has its SSH connection, as it says on its internal port."""
    snapshot = httpx2.get(f"http://127.0.0.1:{internal_port}/statusz", timeout=5, trust_env=False).json()
    return bool(snapshot["link"]["state"] == "Connected")


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def _answers(url: str) -> bool:
    try:
        # A sidecar that has not read its configuration yet says so with 503.
        return httpx2.get(url, timeout=5, trust_env=False).status_code < 500
    except httpx2.TransportError:
        return False


def _open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
