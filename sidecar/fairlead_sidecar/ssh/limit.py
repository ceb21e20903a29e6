"""How many sessions a server gives on one connection (MaxSessions): nobody tells, so it is learned from refusals."""

_PROBE_FIRST = 1.0
_PROBE_CAP = 60.0
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
        self._probe_pause = _PROBE_FIRST
        self._probing = False

    def granted(self, sessions: int) -> None:
        """The server gave a session; `sessions` are open on that connection now."""
        self._most_granted = max(self._most_granted, sessions)
        if self.known is not None and sessions > self.known:
            self.known = sessions
            self._probe_at, self._probe_pause, self._probing = 0.0, _PROBE_FIRST, False

    def refused(self, now: float) -> None:
        """The server gave none.

        It may count sessions that we saw end already, so the most that it ever gave at once is nearer to the truth
        than what is open now.
        """
        if self.known is None:
            self._probe_at = now + self._probe_pause
        elif self._probing:
            self._probe_pause = min(_PROBE_CAP, self._probe_pause * 2)
            self._probe_at = now + self._probe_pause
        self._probing = False
        self.known = self._most_granted

    def probe(self, now: float) -> bool:
        """Whether to try one more than what is known, less and less often.

        It may have been learned in a moment when the server still counted sessions that had ended, or been raised.
        """
        if self.known is None or now < self._probe_at:
            return False
        self._probe_at = now + self._probe_pause
        self._probing = True
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
