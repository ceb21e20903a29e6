"""The link's status as others see it, published whenever it changes."""

from collections.abc import Callable
from datetime import UTC, datetime

import asyncssh

from fairlead_sidecar.config import HostKeyRefusal
from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh.hostkeys import public_line
from fairlead_sidecar.ssh.login import Login
from fairlead_sidecar.ssh.observer import Observer
from fairlead_sidecar.statusz import LinkState, LinkStatus

MAX_MESSAGE = 2000
"""Characters of a status message; the operator takes a bounded answer only."""
MAX_SERVER_VERSION = 250
"""RFC 4253, section 4.2 allows 255 bytes with the line's end."""


class Report:
    """Holds the current `LinkStatus`."""

    def __init__(self, on_change: Callable[[], None], observer: Observer) -> None:
        self._on_change = on_change
        self._observer = observer
        self.status = LinkStatus(
            state=LinkState.CONNECTING,
            reason="Connecting",
            message="The first connection is being made.",
            since=datetime.now(UTC),
        )

    def connecting(self, place: str) -> None:
        """A host that nothing is known about yet is being connected to."""
        self._publish(
            state=LinkState.CONNECTING,
            reason="Connecting",
            message=f"Connecting to {place}.",
            host_key_fingerprint=None,
            host_key=None,
            host_key_refusal=None,
            login_key_fingerprint=None,
            certificate_serial=None,
            server_version=None,
        )

    def waiting(self, message: str) -> None:
        """The next connection can't be made yet; nothing is wrong."""
        self._publish(state=LinkState.CONNECTING, reason="Connecting", message=message)

    def connected(self, message: str, logged_in: Login) -> None:
        """The link is up, by this login."""
        problem, key = logged_in.problem, logged_in.key
        self._publish(
            state=LinkState.CONNECTED,
            reason="Connected" if problem is None else problem.reason,
            message=message if problem is None else f"{message} {problem.message} {problem.hint}",
            host_key_fingerprint=logged_in.fingerprint,
            host_key=public_line(logged_in.host_key),
            host_key_refusal=None,
            login_key_fingerprint=key.fingerprint if key else None,
            certificate_serial=key.certificate_serial if key else None,
            server_version=ascii(logged_in.server_version)[1:-1][:MAX_SERVER_VERSION],
        )

    def connected_but(self, error: LinkError) -> None:
        """The link is up, while a login with new credentials failed."""
        self._publish(
            state=LinkState.CONNECTED,
            reason=error.reason,
            message=f"The former connection goes on, but a new login failed: {error.message} {error.hint}",
        )

    def failed(
        self, error: LinkError, presented: asyncssh.SSHKey | None = None, refusal: HostKeyRefusal | None = None
    ) -> None:
        """The link is down; `presented` is the key that the host presented, if it came to that.

        With a `refusal` it stays down until a person has decided.
        """
        changes: dict[str, object] = {"host_key_refusal": refusal}
        if presented is not None:
            changes |= {"host_key_fingerprint": presented.get_fingerprint(), "host_key": public_line(presented)}
        self._publish(state=LinkState.FAILED, reason=error.reason, message=f"{error.message} {error.hint}", **changes)

    def _publish(self, **changes: object) -> None:
        old = self.status
        changes["message"] = str(changes["message"])[:MAX_MESSAGE]
        new = old.model_copy(update=changes)
        if new == old:
            return
        if (new.state, new.reason) != (old.state, old.reason):
            new = new.model_copy(update={"since": datetime.now(UTC)})
        self.status = new
        is_up, was_up = new.state is LinkState.CONNECTED, old.state is LinkState.CONNECTED
        if is_up != was_up:
            self._observer.on_state(connected=is_up)
        self._on_change()
