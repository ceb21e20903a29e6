"""Output that comes late although the command has exited: neither side got the processor for a while."""

from typing import Any

import pytest

from fairlead_sidecar.ssh import launcher
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.lean import LeanConnection


class _LateConnection(LeanConnection):
    """Has output under way that arrives before the answer to a question does. No real server can be made to."""

    def __init__(self, launcher: Launcher, late: bytes) -> None:  # asyncssh's own would want a socket
        self._launcher, self._late = launcher, late

    def __del__(self) -> None:
        """There is nothing to close."""

    async def settle(self) -> None:
        self._launcher.data_received(self._late, None)
        self._late = b""


class _Channel:
    def __init__(self) -> None:
        self.connection: Any = None

    def get_connection(self) -> Any:
        return self.connection

    def close(self) -> None:
        """Nothing holds it."""


async def test_a_commands_last_output_counts_however_late_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "BACKGROUND_SECONDS", 0.01)
    output: list[bytes] = []
    command = Launcher("call.n", None, on_open=lambda _: None, on_closed=lambda _: None)
    channel = _Channel()
    channel.connection = _LateConnection(command, b"late\n")
    command._channel = channel  # type: ignore[assignment]  # a channel needs a connection, which needs a server
    command._sink = lambda _stream, data: output.append(data)
    command._passing = {"stdout": True, "stderr": True}
    command.exit_status_received(0)
    await command.ended.wait()
    assert (output, command.exit_code) == ([b"late\n"], 0)
