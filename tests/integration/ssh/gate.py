"""Commands that wait for the test: it sees that they run, and lets them go on."""

import os
from collections.abc import Callable

from tests.integration.sshd import Sshd


class Gate:
    """A pipe in the account's home directory that commands read a line from.

    However slow the machine is, none of them ends before it is let through.
    """

    def __init__(self, server: Sshd) -> None:
        """Make it."""
        path = server.home / "gate"
        os.mkfifo(path)
        path.chmod(0o666)
        self.wait = f"read -r line <{server.remote_home}/gate"
        """A shell command that waits until it is let through."""
        # Open in both directions, so that nobody waits for the other end.
        self._pipe = os.open(path, os.O_RDWR)

    def let(self, count: int) -> None:
        """Let as many commands through."""
        os.write(self._pipe, b"\n" * count)

    def close(self) -> None:
        """Let nobody through any more."""
        os.close(self._pipe)


MakeGate = Callable[[Sshd], Gate]
