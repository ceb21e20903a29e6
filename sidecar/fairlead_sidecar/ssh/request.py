"""What is asked of the host: one command."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunAs:
    """Another account, reached with sudo."""

    user: str
    password: str | None = field(default=None, repr=False)
    """What sudo asks for, fed on standard input; None: sudo must not ask (`-n`)."""


@dataclass(frozen=True, slots=True)
class Script:
    """A program text for an interpreter; no shell parses either."""

    interpreter: tuple[str, ...]
    """Words, such as `python3` or `bash`, `-eu`."""
    content: bytes
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """One command: exactly one of `command`, `argv` and `script`."""

    command: str | None = None
    """A command line for the account's shell, several lines too."""
    argv: tuple[str, ...] | None = None
    """Words that are executed as they are; no shell parses them."""
    script: Script | None = None
    working_directory: str | None = None
    """None: the configured one, or the account's home."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables beside those of the login shell and of the configuration; never part of an argument list."""
    stdin: bytes = field(default=b"", repr=False)
    stdin_open: bool = False
    """Whether more input follows; else what `stdin` holds is all."""
    run_as: RunAs | None = None
