"""What a command gives: output while it runs, then its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stream = Literal["stdout", "stderr"]

Sink = Callable[[Stream, bytes], None]
"""Gets all output as it arrives, in order per stream; must return at once and never raise."""

Stopped = Literal["timeout", "idle"]


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How one command ended.

    Exactly one of `exit_code` and `signal` is set, unless the command was killed at a deadline and its end could not
    be seen any more (then both are None and `stopped` says which deadline).
    """

    exit_code: int | None
    """0 to 255."""
    signal: str | None
    """Name of the signal that ended it, without SIG: `KILL`, `SEGV` (RFC 4254, section 6.10)."""
    duration_seconds: float
    """From the call on, waiting for a session included."""
    stopped: Stopped | None
    """Why it was killed: it ran too long, or wrote nothing for too long."""
