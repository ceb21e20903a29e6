"""What agents get on a host, what is forbidden there, and how much is too much."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, ListType
from fairlead_api.quantities import BytesBetween, DurationBetween
from fairlead_api.strings import Path, Pattern


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
            le=32,
            description="At most this many SSH connections at once; more than one is opened only where the host's"
            " MaxSessions is used up.",
        ),
    ] = 4


class ToolGroup(StrEnum):
    """A group of tools; the tools about the connection itself are always there."""

    EXECUTE = "Execute"
    FILES = "Files"


class Tools(ApiModel):
    """Which tools agents get."""

    groups: Annotated[
        tuple[ToolGroup, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="The groups of tools: Execute (commands) and Files (read, write, list). Absent: all groups.",
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


class Policy(ApiModel):
    """What may be done on the host, whoever asks."""

    commands: Annotated[CommandPolicy | None, Field(description="Which commands may run. Absent: all.")] = None
    paths: Annotated[PathPolicy | None, Field(description="Which files the file tools may touch. Absent: all.")] = None


class Limits(ApiModel):
    """Bounds of one call."""

    command_timeout: Annotated[
        timedelta,
        DurationBetween("1s", "24h"),
        Field(
            description="A command that runs longer is killed, with its whole process group. A call may ask for less."
        ),
    ] = timedelta(minutes=5)
    output_bytes: Annotated[
        int,
        BytesBetween("1Ki", "16Mi"),
        Field(description="How much of stdout and of stderr one result carries at most, each. What is cut is said."),
    ] = 1024 * 1024
