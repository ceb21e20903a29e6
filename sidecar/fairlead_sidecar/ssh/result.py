"""What a command left behind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Stream = Literal["stdout", "stderr"]

OutputCallback = Callable[[Stream, bytes], Awaitable[None]]
"""Gets output as it arrives, in order per stream; a slow one slows the command down, it never fills memory."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The end of one command.

    Exactly one of `exit_code` and `signal` is set, unless the command was killed at its deadline and its end
    could not be seen any more (then both are None and `timed_out` is true).
    """

    exit_code: int | None
    """0 to 255."""
    signal: str | None
    """Name of the signal that ended it, without SIG: `KILL`, `SEGV` (RFC 4254, section 6.10)."""
    stdout: bytes
    """At most `output_limit` bytes of output (plus one line that says what was left out, where it was cut)."""
    stderr: bytes
    stdout_bytes: int
    """How many bytes the command wrote in all."""
    stderr_bytes: int
    stdout_truncated: bool
    stderr_truncated: bool
    duration_seconds: float
    timed_out: bool
