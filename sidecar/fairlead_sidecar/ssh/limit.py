"""How many sessions a server gives on one connection (MaxSessions): nobody tells, so it is learned from refusals."""

PROBE_SECONDS = 30.0
"""How often one more than what is known is tried: the limit may have been raised, or learned in a bad moment."""
MOST = 64
"""Sessions on one connection before the work is spread over several: one sshd process serves each."""
_FEW = 4
"""Below it nothing is kept free."""


class SessionLimit:
    """What is known of one server; shared by its connections, kept when they are made anew."""

    def __init__(self) -> None:
        self.known: int | None = None
        """None: nothing was refused yet."""
        self._most_granted = 1
        self._probe_at = 0.0

    def granted(self, sessions: int) -> None:
        """The server gave a session; `sessions` are open on that connection now."""
        self._most_granted = max(self._most_granted, sessions)
        if self.known is not None:
            self.known = max(self.known, sessions)

    def refused(self, now: float) -> None:
        """The server gave none.

        It may count sessions that we saw end already, so the most that it ever gave at once is nearer to the truth
        than what is open now.
        """
        self.known = self._most_granted
        self._probe_at = now + PROBE_SECONDS

    def probe(self, now: float) -> bool:
        """Whether to try one more than what is known."""
        if self.known is None or now < self._probe_at:
            return False
        self._probe_at = now + PROBE_SECONDS
        return True

    def commands(self, *, with_sftp: bool) -> int:
        """How many sessions of one connection commands may take.

        One stays free for a kill, and on one connection another for files (`with_sftp`).
        """
        if self.known is None:
            return MOST
        kept = 0 if self.scarce else 1 + with_sftp
        return max(1, min(MOST, self.known - kept))

    @property
    def scarce(self) -> bool:
        """Whether there are too few to keep any free."""
        return self.known is not None and self.known < _FEW

    @property
    def most(self) -> int:
        """How many sessions one connection has in all."""
        return 2 * MOST if self.known is None else self.known
