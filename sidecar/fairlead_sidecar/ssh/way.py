"""The connections to the jump hosts on the way to a host."""

import asyncssh


class Way:
    """Connections to jump hosts, each through the one before it; none where the target is reached directly.

    Carries any number of connections to the target and ends with the last of them, so that more connections to the
    target need no more logins to the jump hosts.
    """

    def __init__(self) -> None:
        self._passed: list[tuple[str, asyncssh.SSHClientConnection]] = []
        self._users = 0

    @property
    def via(self) -> str:
        """What messages call the last jump host; empty where there is none."""
        return self._passed[-1][0] if self._passed else ""

    @property
    def end(self) -> asyncssh.SSHClientConnection | None:
        """The connection that the next server is reached through."""
        return self._passed[-1][1] if self._passed else None

    @property
    def usable(self) -> bool:
        """Whether another connection may be made through it."""
        return self._users > 0 and not any(connection.is_closed() for _, connection in self._passed)

    def extend(self, place: str, connection: asyncssh.SSHClientConnection) -> None:
        """One jump host further."""
        self._passed.append((place, connection))

    def join(self) -> None:
        """One connection to the target more; `leave` follows when it has ended."""
        self._users += 1

    def leave(self) -> None:
        """One less; the last one ends the way."""
        self._users -= 1
        if self._users <= 0:
            self.close()

    def close(self) -> None:
        """End it at once."""
        for _, connection in reversed(self._passed):
            connection.close()

    async def wait_closed(self) -> None:
        """Wait until it has ended; at once where it is still in use."""
        if self._users <= 0:
            for _, connection in reversed(self._passed):
                await connection.wait_closed()

    def set_keepalive(self, interval: float, count_max: int) -> None:
        """Change how the connections are watched."""
        for _, connection in self._passed:
            connection.set_keepalive(interval, count_max)
