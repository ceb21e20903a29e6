"""What is measured: ways to run a command on a host, each opened anew for a row or kept open beside the others."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.integration.sshd import Sshd


@dataclass(frozen=True)
class Host:
    """The SSH server of a row, and a directory of one contestant's own."""

    sshd: Sshd
    directory: Path
    port: int
    """The server's own port, or that of a proxy in front of it."""

    @property
    def key(self) -> Path:
        """The private key that logs in, as a file of its own with the mode that clients ask for."""
        file = self.directory / "id_ed25519"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(self.sshd.client_key.export_private_key("openssh"))
        return file

    @property
    def known_hosts(self) -> Path:
        """The server's key as a `known_hosts` file."""
        file = self.directory / "known_hosts"
        file.write_text(f"[{self.sshd.address}]:{self.port} {self.sshd.host_key}\n")
        return file

    @property
    def home(self) -> Path:
        """A home directory that holds nothing, so that no contestant finds or leaves anything in the real one."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True, mode=0o700)
        return home

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a contestant's process."""
        return {"HOME": str(self.home), "PATH": os.environ["PATH"]}


@dataclass(frozen=True)
class Ran:
    """A command that ended with code 0."""

    counted_bytes: int
    """Bytes of stdout that the answer accounts for, also those that it leaves out."""
    answered_bytes: int
    """Bytes of stdout in the answer."""


@dataclass(frozen=True)
class Session:
    """A contestant that is ready for calls."""

    run: Callable[[str], Awaitable[Ran]]
    """Run a command line; raises where it fails or ends with another code than 0."""
    processes: tuple[psutil.Process, ...] = ()
    """Those of the server under measurement; empty where it is the benchmark itself."""
    upload: Callable[[Path, str], Awaitable[None]] | None = None
    """Bring a file of this machine to a path on the host."""
    download: Callable[[str, Path], Awaitable[None]] | None = None

    def rss_mib(self) -> float:
        """Resident memory of all its processes now, MiB."""
        total = 0
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 2**20

    def cpu_seconds(self) -> float:
        """What its processes have spent so far, user and system."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)


@dataclass(frozen=True)
class Contestant:
    """One way to run commands."""

    name: str
    opened: Callable[[Host], AbstractAsyncContextManager[Session]]
    """Start it and connect its client. Its login to the host may wait for the first call."""
    peer: bool = False
    """Whether it is a competitor: one that cannot answer is a finding and not a failure of the benchmark."""
    early_login: bool = False
    """Whether it logs in before it answers anything, so that a first call has to count its start too."""
    own_server: bool = False
    """Whether it brings its own SSH server, so that nothing about sshd and the way to it applies."""


def family(process: psutil.Process) -> Iterator[psutil.Process]:
    """A process and all that it started."""
    yield process
    yield from process.children(recursive=True)
