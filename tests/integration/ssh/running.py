"""A link that runs, with what happened to it."""

import asyncio
from typing import Protocol

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.observer import Direction
from fairlead_sidecar.ssh.result import CommandResult, OutputCallback
from fairlead_sidecar.statusz import LinkState, LinkStatus
from tests.integration.sshd import eventually


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

    async def until_connected(self, seconds: float = 10.0) -> None:
        await eventually(lambda: self.status.state is LinkState.CONNECTED, "a connected link", seconds=seconds)

    async def until_reason(self, reason: str, seconds: float = 10.0) -> LinkStatus:
        """The status, once it has this reason."""
        await eventually(lambda: self.status.reason == reason, f"reason {reason}, not {self.status}", seconds=seconds)
        return self.status

    async def until_message(self, text: str, seconds: float = 10.0) -> None:
        await eventually(lambda: text in self.status.message, f"{text!r}, not {self.status}", seconds=seconds)

    async def run(
        self,
        command: str,
        *,
        timeout: float = 20.0,
        output_limit: int = 100_000,
        on_output: OutputCallback | None = None,
    ) -> CommandResult:
        return await self.link.command(command, timeout=timeout, output_limit=output_limit, on_output=on_output)

    def _changed(self) -> None:
        self.history.append(self.link.status())


class StartLink(Protocol):
    def __call__(self, config: SidecarConfig) -> RunningLink: ...
