"""The place where everything is measured: one private sshd, a directory, the contestants, and how much is done."""

import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.baselines import BARE, NOOP_HANDSHAKE, NOOP_MODERN
from benchmarks.contestants import Contestant, Host, Session
from benchmarks.fairlead import FAIRLEAD
from tests.integration.sshd import Sshd

USERNAME = "deploy"
"""Not root: its start-up files would be part of every command's time."""
MAX_SESSIONS = 200
QUICK_SECONDS = 12.0


@dataclass
class Stage:
    """One run."""

    directory: Path
    sshd: Sshd
    peers: tuple[Contestant, ...]
    quick: bool
    """Small counts: to see whether everything works, not to measure."""
    problems: list[str] = field(default_factory=list)
    """What could not be measured and should have been."""
    started: float = field(default_factory=time.monotonic)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def everybody(self) -> tuple[Contestant, ...]:
        """All who run commands: the limit, Fairlead, the peers."""
        return (BARE, *FAIRLEAD, *self.peers)

    @property
    def turn_takers(self) -> tuple[Contestant, ...]:
        """The same and the no-op servers."""
        return (BARE, NOOP_HANDSHAKE, NOOP_MODERN, *FAIRLEAD, *self.peers)

    @contextlib.asynccontextmanager
    async def opened(
        self, contestant: Contestant, sshd: Sshd | None = None, *, port: int | None = None
    ) -> AsyncIterator[Session]:
        """A fresh session of a contestant, in a directory of its own; `port` is that of a proxy before the server."""
        server = sshd or self.sshd
        directory = self.directory / f"{next(self._numbers)}"
        directory.mkdir(mode=0o700)
        async with contestant.opened(Host(server, directory, port or server.port)) as session:
            yield session

    def within(self, seconds: float) -> float:
        """The longest that something may take, in seconds; a quick run waits for nobody."""
        return min(seconds, QUICK_SECONDS) if self.quick else seconds

    def failed(self, contestant: Contestant, row: str, reason: BaseException) -> str:
        """Note that a contestant could not do a row; the words for the page. Of a peer that is a finding."""
        words = cause(reason)
        if not contestant.peer:
            self.problems.append(f"{contestant.name}, {row}: {words}")
        self.say(f"{contestant.name}, {row}: {words}")
        return words

    def say(self, line: str) -> None:
        """Tell whoever watches the run."""
        print(f"{time.monotonic() - self.started:6.1f} s  {line}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def another_sshd(self, name: str, *, options: dict[str, str] | None = None, bashrc: str = "") -> Iterator[Sshd]:
        """A further server with the same account, that ends with the block."""
        server = private_sshd(self.directory / name, options or {})
        if bashrc:
            (server.home / ".bashrc").write_text(bashrc)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def private_sshd(directory: Path, options: dict[str, str]) -> Sshd:
    """A server that is not started yet."""
    return Sshd(directory, username=USERNAME, options=options)


def cause(error: BaseException) -> str:
    """The innermost reason in a few words; of a program's long complaint its last line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    words = lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"
    return f"{type(error).__name__}: {words}"[:300]
