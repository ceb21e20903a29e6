"""A link that runs, with what happened to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.ssh import pool
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.observer import Direction
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import CommandEnd, Sink, Stopped, Stream
from fairlead_sidecar.statusz import LinkState, LinkStatus
from tests.integration.sshd import PATIENCE_SECONDS, eventually


class Counts:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.reconnects = 0
        self.bytes: dict[Direction, int] = {"received": 0, "sent": 0}
        self.connected: list[bool] = []

    def on_reconnect(self) -> None:
        self.reconnects += 1

    def on_bytes(self, direction: Direction, count: int) -> None:
        self.bytes[direction] += count

    def on_state(self, *, connected: bool) -> None:
        self.connected.append(connected)


@dataclass
class Ran:
    """A command's end, and its output: at most `keep` bytes of each stream."""

    keep: int = 1_000_000
    written: dict[Stream, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})
    kept: dict[Stream, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    end: CommandEnd | None = None

    def sink(self, stream: Stream, data: bytes) -> None:
        self.written[stream] += len(data)
        kept = self.kept[stream]
        kept += data[: self.keep - len(kept)]

    @property
    def stdout(self) -> bytes:
        return bytes(self.kept["stdout"])

    @property
    def stderr(self) -> bytes:
        return bytes(self.kept["stderr"])

    @property
    def exit_code(self) -> int | None:
        assert self.end is not None
        return self.end.exit_code

    @property
    def signal(self) -> str | None:
        assert self.end is not None
        return self.end.signal

    @property
    def stopped(self) -> Stopped | None:
        assert self.end is not None
        return self.end.stopped


class RunningLink:
    """Starts at once; `stop` ends it."""

    def __init__(self, config: SidecarConfig) -> None:
        self.counts = Counts()
        self.history: list[LinkStatus] = []
        self.link = Link(config, on_change=self._changed, observer=self.counts)
        self._task = asyncio.create_task(self.link.run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    @property
    def status(self) -> LinkStatus:
        return self.link.status()

    async def until_connected(self, seconds: float = PATIENCE_SECONDS) -> None:
        await self._until(lambda: self.status.state is LinkState.CONNECTED, "a connected link", seconds)

    async def until_at_rest(self, *, refilled: bool = True) -> None:
        """Wait until all has come to its end that follows a login, and (`refilled`) as many shells wait as should."""

        def rests() -> bool:
            some = self.link._pool
            if some is None or not some.answered.is_set() or some._waiting or some._urgent or some._starting:
                return False
            # No session but those of shells that wait.
            at_rest = len(some._owner) == len(some._warm) and all(shell.ready.is_set() for shell in some._warm)
            return at_rest and (not refilled or len(some._warm) == pool.WARM)

        await self._until(rests, "a link at rest", PATIENCE_SECONDS)
        # Nor does anything follow: a session that has served is closed a little later.
        await asyncio.sleep(0.5)
        await self._until(rests, "a link at rest", PATIENCE_SECONDS)

    async def until_reason(self, reason: str, seconds: float = PATIENCE_SECONDS) -> LinkStatus:
        """The status, once it has this reason."""
        await self._until(lambda: self.status.reason == reason, f"reason {reason}", seconds)
        return self.status

    async def until_message(self, text: str, seconds: float = PATIENCE_SECONDS) -> None:
        await self._until(lambda: text in self.status.message, repr(text), seconds)

    async def run(
        self,
        command: str | CommandRequest,
        *,
        timeout: float = 20.0,
        idle_timeout: float | None = None,
        keep: int = 1_000_000,
        also: Callable[[Stream, bytes], None] | None = None,
    ) -> Ran:
        """Run a command and collect its output; `also` gets it live."""
        request = CommandRequest(command=command) if isinstance(command, str) else command
        ran = Ran(keep)
        sink: Sink = ran.sink
        if also is not None:

            def both(stream: Stream, data: bytes) -> None:
                ran.sink(stream, data)
                also(stream, data)

            sink = both
        ran.end = await self.link.run_command(request, timeout=timeout, idle_timeout=idle_timeout, sink=sink)
        return ran

    async def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        await eventually(condition, what, seconds=seconds, instead=lambda: f"(status: {self.status})")

    def _changed(self) -> None:
        self.history.append(self.link.status())


class StartLink(Protocol):
    def __call__(self, config: SidecarConfig) -> RunningLink: ...
