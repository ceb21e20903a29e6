"""What agents get on a host, what is forbidden there, and how much is too much."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from fairlead_api.base import ApiModel, Cel, ListType, refuse_repeated
from fairlead_api.named_commands import NamedCommand
from fairlead_api.quantities import BytesBetween, DurationBetween
from fairlead_api.references import SecretKeyRef
from fairlead_api.strings import Path, Pattern, Username


class Connection(ApiModel):
    """How the SSH connections are made and watched."""

    connect_timeout: Annotated[
        timedelta,
        DurationBetween("1s", "5m"),
        Field(description="How long one attempt to connect and log in may take."),
    ] = timedelta(seconds=10)
    keep_alive_interval: Annotated[
        timedelta,
        DurationBetween("1s", "1h"),
        Field(description="After how much silence the host is asked whether it is still there."),
    ] = timedelta(seconds=15)
    keep_alive_count_max: Annotated[
        int, Field(ge=1, le=100, description="After how many unanswered questions the connection counts as lost.")
    ] = 3
    max_connections: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="At most this many SSH connections at once; more than one is opened only where the host's"
            " MaxSessions is used up.",
        ),
    ] = 16


class ToolGroup(StrEnum):
    """A group of tools; the tools about the connection itself are always there."""

    CONNECTION = "Connection"
    EXECUTE = "Execute"
    FILES = "Files"


class Tools(ApiModel):
    """Which tools agents get."""

    groups: Annotated[
        tuple[ToolGroup, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="The groups of tools: Execute (free commands and scripts), Files (read, write, edit, search),"
            " Connection (its state; always there, alone it means no other group). Named commands are offered whatever"
            " stands here. Absent: all groups.",
        ),
        ListType("set"),
    ] = None


class CommandPolicy(ApiModel):
    """Which command lines may run. It guards against accidents; against malice, restrict the account."""

    allow: Annotated[
        tuple[Pattern, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="RE2 patterns: only command lines in which one of these is found may run."
            " Absent: no restriction.",
        ),
        ListType("atomic"),
    ] = None
    deny: Annotated[
        tuple[Pattern, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="RE2 patterns: a command line in which one of these is found never runs, whatever `allow` says."
            " Absent: nothing is denied.",
        ),
        ListType("atomic"),
    ] = None


class PathPolicy(ApiModel):
    """Which files the file tools may touch. Commands are not bound by it."""

    read: Annotated[
        tuple[Path, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Directories below which files may be read and listed. Absent: no restriction.",
        ),
        ListType("set"),
    ] = None
    write: Annotated[
        tuple[Path, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Directories below which files may be written. Absent: no restriction.",
        ),
        ListType("set"),
    ] = None


class SudoType(StrEnum):
    """Whether sudo may be used, and how it lets the account."""

    NEVER = "Never"
    PASSWORDLESS = "Passwordless"
    PASSWORD = "Password"  # noqa: S105 a way to use sudo, no password


class Sudo(ApiModel):
    """Whether and as whom commands may run with sudo. A token needs the permission Sudo as well."""

    rules = (
        Cel(
            "(self.type == 'Password') == has(self.passwordSecretRef)",
            "type Password needs passwordSecretRef, and no other type has it: add or remove it, or change the type",
        ),
    )

    type: Annotated[
        SudoType,
        Field(
            description="Never; Passwordless: the host's sudoers ask for none (NOPASSWD); Password: sudo asks the"
            " account for its password."
        ),
    ]
    password_secret_ref: Annotated[
        SecretKeyRef | None,
        Field(description="With type Password: the account's password. sudo gets it on its standard input."),
    ] = None
    users: Annotated[
        tuple[Username, ...],
        Field(min_length=1, max_length=16, description="The accounts that commands may run as. Absent: root."),
        ListType("set"),
    ] = ("root",)

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if (self.type is SudoType.PASSWORD) != (self.password_secret_ref is not None):
            raise ValueError("type Password needs passwordSecretRef, and no other type has it")
        return self


class ConfirmMode(StrEnum):
    """Who agrees to a command, and how."""

    ELICIT = "Elicit"


class Confirmation(ApiModel):
    """Command lines that a person must agree to each time."""

    pattern: Annotated[Pattern, Field(description="RE2 pattern: command lines in which it is found.")]
    mode: Annotated[
        ConfirmMode,
        Field(
            description="Elicit: the agent's client asks its user (MCP elicitation); where the client can't ask, the"
            " command is refused."
        ),
    ] = ConfirmMode.ELICIT


class RedactedValue(ApiModel):
    """A value that agents never get to see."""

    secret_key_ref: Annotated[SecretKeyRef, Field(description="The key of a Secret that holds the value.")]


class Policy(ApiModel):
    """What may be done on the host, whoever asks."""

    rules = (
        Cel(
            "!has(self.namedCommands) || self.namedCommands.all(command, !has(command.user) || (has(self.sudo)"
            " && self.sudo.type != 'Never' && command.user in self.sudo.users))",
            "a named command has a user that sudo doesn't allow: add it to sudo.users (with another type than Never),"
            " or remove it",
        ),
    )

    read_only: Annotated[
        bool,
        Field(
            description="true: only tools that change nothing on the host are offered, and named commands that say"
            " readOnly."
        ),
    ] = False
    commands: Annotated[
        CommandPolicy | None,
        Field(description="Which command lines and scripts may run; named commands are not bound. Absent: all."),
    ] = None
    named_commands: Annotated[
        tuple[NamedCommand, ...] | None,
        Field(
            min_length=1,
            max_length=32,
            description="Commands that you write, each a tool of its own with typed parameters: the safe way to let"
            " agents do a few things only. Absent: none.",
        ),
        ListType("map", ("name",)),
    ] = None
    paths: Annotated[PathPolicy | None, Field(description="Which files the file tools may touch. Absent: all.")] = None
    sudo: Annotated[
        Sudo | None, Field(description="Whether and as whom commands may run with sudo. Absent: never.")
    ] = None
    confirm: Annotated[
        tuple[Confirmation, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Command lines that a person must agree to each time. Absent: none.",
        ),
        ListType("atomic"),
    ] = None
    redact: Annotated[
        tuple[RedactedValue, ...] | None,
        Field(
            min_length=1,
            max_length=32,
            description="Values that are blotted out of everything that agents get. Absent: none.",
        ),
        ListType("atomic"),
    ] = None

    def patterns(self) -> Iterator[tuple[str, str]]:
        """Every RE2 pattern, with where it stands below the policy."""
        if self.commands is not None:
            yield from _listed("commands.allow", self.commands.allow)
            yield from _listed("commands.deny", self.commands.deny)
        yield from _listed("confirm", (some.pattern for some in self.confirm or ()), suffix=".pattern")
        for index, command in enumerate(self.named_commands or ()):
            for name, parameter in (command.parameters or {}).items():
                if parameter.pattern is not None:
                    yield f"namedCommands[{index}].parameters.{name}.pattern", parameter.pattern

    @model_validator(mode="after")
    def _check_commands(self) -> Self:
        refuse_repeated(command.name for command in self.named_commands or ())
        allowed = self.sudo.users if self.sudo is not None and self.sudo.type is not SudoType.NEVER else ()
        for command in self.named_commands or ():
            if command.user is not None and command.user not in allowed:
                raise ValueError(
                    f"the named command {command.name} has the user {command.user}, which sudo doesn't allow"
                )
        return self


def _listed(name: str, patterns: Iterable[str] | None, suffix: str = "") -> Iterator[tuple[str, str]]:
    for index, pattern in enumerate(patterns or ()):
        yield f"{name}[{index}]{suffix}", pattern


class Limits(ApiModel):
    """How much is too much: bounds of one call, and of how many there may be."""

    command_timeout: Annotated[
        timedelta,
        DurationBetween("1s", "24h"),
        Field(
            description="A command that runs longer is killed, with its whole process group. A call may ask for less."
        ),
    ] = timedelta(minutes=5)
    idle_timeout: Annotated[
        timedelta | None,
        DurationBetween("1s", "24h"),
        Field(description="A command that writes nothing for so long is killed. Absent: silence is no reason."),
    ] = None
    foreground_timeout: Annotated[
        timedelta,
        DurationBetween("1s", "1h"),
        Field(
            description="A call whose command still runs after so long returns an id to ask for its output by, and the"
            " command goes on. Keep it below what agents wait for an answer."
        ),
    ] = timedelta(seconds=50)
    disconnect_grace: Annotated[
        timedelta,
        DurationBetween("0s", "1h"),
        Field(
            description="How long a command goes on whose client lost its connection, before it is killed (protocol"
            " versions with a handshake; with the newest one it is killed at once)."
        ),
    ] = timedelta(seconds=60)
    output_bytes: Annotated[
        int,
        BytesBetween("1Ki", "16Mi"),
        Field(description="How much of stdout and of stderr one result carries at most, each. What is cut is said."),
    ] = 1024 * 1024
    concurrent_commands: Annotated[
        int | None,
        Field(
            ge=1,
            le=1024,
            description="How many commands of all tokens may run at a time; one more is answered with `host_busy`."
            " Absent: as many as the SSH connections carry.",
        ),
    ] = None
    requests_per_minute: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="How many requests one McpToken may make within a minute, times its rateLimit; one more is"
            " answered with HTTP 429 and Retry-After. Absent: any number.",
        ),
    ] = None
    commands_per_hour: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="How many commands one McpToken may start within an hour, times its rateLimit; one more is"
            " answered with the error `rate_limited`. Absent: any number.",
        ),
    ] = None
