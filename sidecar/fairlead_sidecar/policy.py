"""What a host's policy allows, decided without I/O.

Command patterns are RE2, which matches in linear time whatever an agent sends. Paths are compared component by
component and must already be resolved on the host: this module knows nothing of symbolic links. A policy directory is
taken as written, so one that is itself a link matches nothing; write the directory it points to.
"""

import posixpath
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Protocol, cast

import re2

from fairlead_sidecar.config import Policy
from fairlead_sidecar.errors import PolicyDenied


class PolicyInvalid(ValueError):
    """A policy can't be used as it is written; the message names the member and what is wrong."""


class _Pattern(Protocol):
    pattern: str

    def search(self, text: str) -> object | None: ...


class HostPolicy(Protocol):
    """What is asked before a call touches the host."""

    def check_command(self, command: str) -> None:
        """Let a command line pass.

        Raises:
            PolicyDenied: It may not run.
        """

    def check_read(self, resolved: str) -> None:
        """Let a file or directory be read.

        Args:
            resolved: Absolute path without symbolic links, as the host resolved it.

        Raises:
            PolicyDenied: It may not be read.
        """

    def check_write(self, resolved: str) -> None:
        """Let a file be written; as `check_read`."""


class ClosedPolicy:
    """Stands for a policy that can't be used: what it meant to allow is unknown, so nothing is.

    Args:
        why: What is wrong with it, as `PolicyInvalid` says it.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    def check_command(self, command: str) -> None:  # noqa: ARG002 - whatever it is
        """See `HostPolicy`."""
        raise self._denied()

    def check_read(self, resolved: str) -> None:  # noqa: ARG002 - whatever it is
        """See `HostPolicy`."""
        raise self._denied()

    def check_write(self, resolved: str) -> None:  # noqa: ARG002 - whatever it is
        """See `HostPolicy`."""
        raise self._denied()

    def _denied(self) -> PolicyDenied:
        return PolicyDenied(
            f"All commands and files are denied, because the host's policy can't be used: spec.{self._why}.",
            hint="Ask the host's owner to mend spec.policy.",
        )


class CompiledPolicy:
    """A policy ready to answer.

    Raises:
        PolicyInvalid: A pattern is not RE2, or a directory is not absolute.
    """

    def __init__(self, policy: Policy) -> None:
        commands, paths = policy.commands, policy.paths
        self._allow = None if commands.allow is None else _compile(commands.allow, "commands.allow")
        self._deny = _compile(commands.deny, "commands.deny")
        self._read = None if paths.read is None else _directories(paths.read, "paths.read")
        self._write = None if paths.write is None else _directories(paths.write, "paths.write")

    def check_command(self, command: str) -> None:
        """Let a command line pass; deny wins over allow.

        Raises:
            PolicyDenied: It matches a pattern of `commands.deny`, or none of `commands.allow`.
        """
        denied = next((pattern for pattern in self._deny if pattern.search(command)), None)
        if denied is not None:
            msg = f"The host's policy denies this command: it matches `{denied.pattern}` of policy.commands.deny."
            raise PolicyDenied(msg)
        if self._allow is not None and not any(pattern.search(command) for pattern in self._allow):
            allowed = ", ".join(f"`{pattern.pattern}`" for pattern in self._allow)
            msg = f"The host's policy allows only commands that match policy.commands.allow: {allowed}."
            raise PolicyDenied(msg)

    def check_read(self, resolved: str) -> None:
        """Let a file or directory be read.

        Args:
            resolved: Absolute path without symbolic links, as the host resolved it.

        Raises:
            PolicyDenied: It lies outside `paths.read`.
        """
        _check_path(resolved, self._read, "read")

    def check_write(self, resolved: str) -> None:
        """Let a file be written; as `check_read`, for `paths.write`."""
        _check_path(resolved, self._write, "written")


def _compile(patterns: Iterable[str], where: str) -> tuple[_Pattern, ...]:
    options = re2.Options()
    options.log_errors = False
    compiled = []
    for index, pattern in enumerate(patterns):
        try:
            compiled.append(cast("_Pattern", re2.compile(pattern, options)))
        except re2.error as error:
            detail = error.args[0] if error.args else error
            reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
            msg = f"policy.{where}[{index}] is not a regular expression of RE2: {reason}"
            raise PolicyInvalid(msg) from error
    return tuple(compiled)


def _directories(paths: Iterable[str], where: str) -> tuple[PurePosixPath, ...]:
    directories = []
    for index, path in enumerate(paths):
        if not path.startswith("/"):
            msg = f"policy.{where}[{index}] must be an absolute path, not {path!r}"
            raise PolicyInvalid(msg)
        directories.append(_clean(path))
    return tuple(directories)


def _check_path(resolved: str, directories: tuple[PurePosixPath, ...] | None, verb: str) -> None:
    if directories is None:
        return
    path = _clean(resolved)
    if resolved.startswith("/") and any(path.is_relative_to(directory) for directory in directories):
        return
    below = ", ".join(str(directory) for directory in directories)
    # Not where the path leads: who may not look there is not told what is there.
    msg = (
        f"The path, symbolic links followed, lies elsewhere: the host's policy lets files be {verb} only below {below}."
    )
    raise PolicyDenied(msg)


def _clean(path: str) -> PurePosixPath:
    # POSIX gives two leading slashes a meaning of their own, which no SSH server uses.
    return PurePosixPath("/" + posixpath.normpath(path).lstrip("/"))
