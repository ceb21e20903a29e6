"""One connection of the pool, and how many sessions are open on it."""

from fairlead_sidecar.ssh.login import Login

_REFUSED_FIRST = 0.004
_REFUSED_CAP = 0.25


class Member:
    """A connection; times are the event loop's."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self.connection = login.connection
        self.sessions = 0
        """Open or being opened, of every kind."""
        # OpenSSH's loop reads stdout before stderr; others may have a thread for each.
        self.ordered = login.server_version.startswith("SSH-2.0-OpenSSH")
        """Whether what was written to stdout never arrives after what was written to stderr later."""
        self.granted = 0
        """Open for commands and kills."""
        self.channels = 0
        """TCP connections through it, open or being opened; they are no sessions."""
        self.refusals = 0
        """In a row."""
        self.idle_since: float | None = None
        self._blocked_until = 0.0

    def accepts(self, limit: int, now: float) -> bool:
        """Whether a session may be asked for, with at most `limit` on this connection."""
        return self.sessions < limit and now >= self._blocked_until

    def blocked_for(self, now: float) -> float:
        """Seconds for which no session is asked for."""
        return max(0.0, self._blocked_until - now)

    def refused(self, now: float) -> None:
        """The server gave no session: leave it alone for a moment, longer with each refusal."""
        if now < self._blocked_until:
            # One of several that were asked for at the same time.
            return
        self._blocked_until = now + min(_REFUSED_CAP, _REFUSED_FIRST * 2.0 ** min(self.refusals, 10))
        self.refusals += 1

    def served(self) -> None:
        """The server gave a session."""
        self.refusals = 0
