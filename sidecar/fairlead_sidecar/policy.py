"""What a host's policy allows, decided without I/O.

Command patterns are RE2, which matches in linear time whatever an agent sends. Paths are compared component by
component and must already be resolved on the host: this module knows nothing of symbolic links. A policy directory is
taken as written, so one that is itself a link matches nothing; write the directory it points to.
"""

import posixpath
import shlex
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NoReturn, Protocol, cast

import re2

from fairlead_sidecar.config import NamedCommand, Policy, Sudo
from fairlead_sidecar.errors import PolicyDenied
from fairlead_sidecar.named_commands import NamedArgv, Unknown


class PolicyInvalid(ValueError):
    """A policy can't be used as it is written; the message names the member and what is wrong."""


class _Pattern(Protocol):
    pattern: str

    def search(self, text: str) -> object | None: ...

    def fullmatch(self, text: str) -> object | None: ...


class HostPolicy(Protocol):
    """What is asked before a call touches the host."""

    @property
    def sudo(self) -> Sudo:
        """How sudo is used where `check_user` allows it."""

    def check_command(self, command: str, *, user: str | None = None, sets_variables: bool = False) -> None:
        """Let a command line pass.

        Args:
            command: The line.
            user: The account it is to run as with sudo; None: the login's account.
            sets_variables: Whether the call brings variables along, which can change what a command does.

        Raises:
            PolicyDenied: It may not run.
        """

    def check_script(
        self, interpreter: Sequence[str], content: str, *, user: str | None = None, sets_variables: bool = False
    ) -> None:
        """Let a script pass: what runs it and its text, each as `check_command`."""

    def check_user(self, user: str) -> None:
        """Let commands run as another account.

        Raises:
            PolicyDenied: There is no sudo here, or not to this account.
        """

    def needs_confirmation(self, *lines: str, user: str | None = None) -> bool:
        """Whether a person must agree before any of these lines runs."""

    def named(self, name: str) -> NamedArgv:
        """A named command.

        Raises:
            PolicyDenied: There is none of this name.
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

    sudo = Sudo()

    def __init__(self, why: str) -> None:
        self._why = why

    def check_command(self, *_: object, **__: object) -> NoReturn:
        """See `HostPolicy`."""
        raise self._denied()

    check_script = check_user = needs_confirmation = named = check_read = check_write = check_command

    def _denied(self) -> PolicyDenied:
        return PolicyDenied(
            f"All commands and files are denied, because the host's policy can't be used: spec.{self._why}.",
            hint="Ask the host's owner to mend spec.policy.",
        )


class CompiledPolicy:
    """A policy ready to answer.

    Raises:
        PolicyInvalid: A pattern is not RE2, a directory is not absolute, or a named command can't be understood.
    """

    def __init__(self, policy: Policy) -> None:
        commands, paths = policy.commands, policy.paths
        self._allow = None if commands.allow is None else _compile(commands.allow, "commands.allow")
        self._deny = _compile(commands.deny, "commands.deny")
        self._confirm = tuple(
            _compiled(confirmation.pattern, f"confirm[{index}].pattern")
            for index, confirmation in enumerate(policy.confirm)
        )
        self.sudo = policy.sudo
        self._named = {
            command.name: _named(command, policy.sudo, f"namedCommands[{index}]")
            for index, command in enumerate(policy.named_commands)
        }
        self._read = None if paths.read is None else _directories(paths.read, "paths.read")
        self._write = None if paths.write is None else _directories(paths.write, "paths.write")

    def check_command(self, command: str, *, user: str | None = None, sets_variables: bool = False) -> None:
        """Let a command line pass; deny wins over allow.

        Raises:
            PolicyDenied: It matches a pattern of `commands.deny`, or none of `commands.allow`.
        """
        self._check((command,), user, sets_variables=sets_variables)

    def check_script(
        self, interpreter: Sequence[str], content: str, *, user: str | None = None, sets_variables: bool = False
    ) -> None:
        """Let a script pass: its text and the line that runs it are judged each like a command line."""
        self._check((shlex.join(interpreter), content), user, sets_variables=sets_variables)

    def _check(self, lines: Sequence[str], user: str | None, *, sets_variables: bool) -> None:
        texts = _as_run(lines, user)
        denied = next((pattern for pattern in self._deny if any(pattern.search(text) for text in texts)), None)
        if denied is not None:
            msg = f"The host's policy denies this command: it matches `{denied.pattern}` of policy.commands.deny."
            raise PolicyDenied(msg)
        if self._allow is None:
            return
        if sets_variables:
            # PATH, LD_PRELOAD, BASH_ENV and others make any allowed command run another program.
            msg = "The host's policy allows certain commands only, so calls may not set variables (`env`)."
            raise PolicyDenied(msg)
        if not all(any(pattern.search(line) for pattern in self._allow) for line in lines):
            allowed = ", ".join(f"`{pattern.pattern}`" for pattern in self._allow)
            msg = f"The host's policy allows only commands that match policy.commands.allow: {allowed}."
            raise PolicyDenied(msg)

    def check_user(self, user: str) -> None:
        """Let commands run as another account.

        Raises:
            PolicyDenied: `sudo.type` is Never, or the account is none of `sudo.users`.
        """
        if self.sudo.type == "Never":
            raise PolicyDenied("The host's policy allows no sudo (policy.sudo.type is Never).")
        if user not in self.sudo.users:
            allowed = ", ".join(self.sudo.users)
            raise PolicyDenied(f"The host's policy lets commands run with sudo only as: {allowed}.")

    def needs_confirmation(self, *lines: str, user: str | None = None) -> bool:
        """Whether a pattern of `confirm` is found in one of the lines."""
        return any(pattern.search(text) for pattern in self._confirm for text in _as_run(lines, user))

    def named(self, name: str) -> NamedArgv:
        """A named command.

        Raises:
            PolicyDenied: There is none of this name.
        """
        command = self._named.get(name)
        if command is None:
            raise PolicyDenied("The host's policy no longer has this command.")
        return command

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


def _as_run(lines: Sequence[str], user: str | None) -> Sequence[str]:
    """What patterns are searched in: the lines, and with sudo also as they would look with it written out."""
    return lines if user is None else (*lines, *(f"sudo -u {user} -- {line}" for line in lines))


def _named(command: NamedCommand, sudo: Sudo, where: str) -> NamedArgv:
    if command.user is not None and (sudo.type == "Never" or command.user not in sudo.users):
        msg = f"policy.{where}.user is {command.user}, which policy.sudo does not allow"
        raise PolicyInvalid(msg)
    patterns = {
        name: _compiled(parameter.pattern, f"{where}.parameters.{name}.pattern")
        for name, parameter in command.parameters.items()
        if parameter.pattern is not None
    }
    try:
        return NamedArgv(command, patterns)
    except Unknown as error:
        raise PolicyInvalid(f"policy.{where}.argv: {error}") from error


def _compile(patterns: Iterable[str], where: str) -> tuple[_Pattern, ...]:
    return tuple(_compiled(pattern, f"{where}[{index}]") for index, pattern in enumerate(patterns))


def _compiled(pattern: str, where: str) -> _Pattern:
    options = re2.Options()
    options.log_errors = False
    try:
        return cast("_Pattern", re2.compile(pattern, options))
    except re2.error as error:
        detail = error.args[0] if error.args else error
        reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        msg = f"policy.{where} is not a regular expression of RE2: {reason}"
        raise PolicyInvalid(msg) from error


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
