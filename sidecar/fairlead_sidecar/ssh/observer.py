"""What the link tells whoever counts: the app wires it to metrics."""

from typing import Literal, Protocol

Direction = Literal["received", "sent"]
"""Seen from the sidecar: `received` comes from the host."""


class Observer(Protocol):
    """Called from the event loop; must return at once."""

    def on_reconnect(self) -> None:
        """The link was lost and is up again."""

    def on_bytes(self, direction: Direction, count: int) -> None:
        """`count` bytes of command output, command text or file content went over the link."""

    def on_state(self, *, connected: bool) -> None:
        """The link came up or went down."""


class NullObserver:
    """Counts nothing."""

    def on_reconnect(self) -> None:
        """Ignore it."""

    def on_bytes(self, direction: Direction, count: int) -> None:
        """Ignore it."""

    def on_state(self, *, connected: bool) -> None:
        """Ignore it."""
