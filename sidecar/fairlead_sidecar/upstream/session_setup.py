"""What a session with an upstream server needs to know before it begins."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fairlead_sidecar.upstream.errors import StartFailed
from fairlead_sidecar.upstream.spec import Json

OnNotification = Callable[[str | None, str, Json | None], Awaitable[None]]
"""Called with (client, method, params); see `Upstreams.on_notification`."""


@dataclass(frozen=True)
class Setup:
    """What a session needs to know before it begins.

    Attributes:
        server: The server's name.
        start_timeout: Seconds to the end of the handshake.
        probe: Whether the server may speak the modern protocol.
        capabilities: What the server is told we can do.
        on_catalogue: Called when a list has changed.
        on_notification: Called with (client, method, params); see `Upstreams.on_notification`.
    """

    server: str
    start_timeout: float = 30.0
    probe: bool = True
    capabilities: Json | None = None
    on_catalogue: Callable[[], None] = lambda: None
    on_notification: OnNotification | None = None


class ProbeEnded(StartFailed):
    """It ended when it was asked whether it is modern; it is to be started again and not asked."""
