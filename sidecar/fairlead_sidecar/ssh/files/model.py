"""What is known of a file."""

import stat as statmodes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import asyncssh


class FileType(StrEnum):
    """What a directory entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"
    """A device, socket or named pipe."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file, directory or symbolic link."""

    path: str
    """Bytes that are no UTF-8 are kept as surrogates (PEP 383)."""
    type: FileType
    size: int
    """Bytes."""
    mode: int
    """Permission bits, e.g. 0o644."""
    modified: datetime
    """UTC."""
    accessed: datetime
    """UTC."""
    uid: int | None
    gid: int | None
    target: str | None = None
    """What a symbolic link holds, where that was asked for."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A piece of a file."""

    path: str
    """Where the file is, all links followed."""
    data: bytes
    offset: int
    size: int
    """Bytes of the whole file as the host states it (0 for generated files such as those in /proc)."""
    eof: bool
    """Whether nothing follows this piece."""
    sha256: str | None
    """Of the whole file, in hex; None where it is large, generated, or changed while it was read."""
    line: int | None = None
    """Number of the line that the piece begins with, from 1, where lines were asked for."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries of directories, by path."""

    path: str
    """The directory, all links followed."""
    entries: Sequence[FileInfo]
    truncated: bool
    """Whether there are more entries than these."""
    unreadable: int = 0
    """Directories below that could not be read."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file after it was written."""

    path: str
    size: int
    """Bytes."""
    mode: int
    sha256: str | None
    """Of the whole file, in hex; None where only a part of it is known here (a large file that was appended to)."""


def file_type(attributes: asyncssh.SFTPAttrs) -> FileType:
    """What it is."""
    permissions = attributes.permissions or 0
    if statmodes.S_ISDIR(permissions):
        return FileType.DIRECTORY
    if statmodes.S_ISLNK(permissions):
        return FileType.SYMLINK
    return FileType.FILE if statmodes.S_ISREG(permissions) else FileType.OTHER


def file_mode(attributes: asyncssh.SFTPAttrs) -> int:
    """Its permission bits."""
    return statmodes.S_IMODE(attributes.permissions or 0)


def file_info(path: str, attributes: asyncssh.SFTPAttrs, target: str | None = None) -> FileInfo:
    """What is known of the file at `path`."""
    return FileInfo(
        path=path,
        type=file_type(attributes),
        size=attributes.size or 0,
        mode=file_mode(attributes),
        modified=datetime.fromtimestamp(attributes.mtime or 0, UTC),
        accessed=datetime.fromtimestamp(attributes.atime or 0, UTC),
        uid=attributes.uid,
        gid=attributes.gid,
        target=target,
    )


def same_state(one: asyncssh.SFTPAttrs, other: asyncssh.SFTPAttrs) -> bool:
    """Whether nothing tells that the file changed between the two looks at it."""
    return (one.size, one.mtime, one.uid, one.gid, one.permissions) == (
        other.size,
        other.mtime,
        other.uid,
        other.gid,
        other.permissions,
    )
