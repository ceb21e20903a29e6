"""Files on the host over SFTP."""

import posixpath
import secrets
import stat as statmodes
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import asyncssh

from fairlead_sidecar.errors import FileError
from fairlead_sidecar.ssh.link import Link


class FileType(StrEnum):
    """What a directory entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"
    """A device, socket or named pipe."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file or directory."""

    path: str
    type: FileType
    size: int
    """Bytes."""
    mode: int
    """Permission bits, e.g. 0o644."""
    modified: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A piece of a file."""

    data: bytes
    offset: int
    size: int
    """Bytes of the whole file as the host states it (0 for generated files such as those in /proc)."""
    eof: bool
    """Whether nothing follows this piece."""


@dataclass(frozen=True, slots=True)
class DirectoryListing:
    """The entries of a directory by name."""

    entries: Sequence[FileInfo]
    truncated: bool
    """Whether there are more entries than were asked for."""


class RemoteFiles:
    """File operations on the link's host.

    Paths are absolute or relative to the account's home; `~/` means the home too. Every method raises
    `FileError` with a sentence, or a `LinkError` where there is no connection.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def realpath(self, path: str) -> str:
        """The absolute path after all symbolic links and `..` were followed on the host.

        The last part need not exist: then this is the path where a new file would be created.
        """
        async with self._sftp(path) as sftp:
            return await _realpath(sftp, path)

    async def stat(self, path: str) -> FileInfo:
        """Type, size, mode and time; symbolic links are followed."""
        async with self._sftp(path) as sftp:
            return _info(path, await sftp.stat(_expand(path)))

    async def read_file(self, path: str, *, offset: int = 0, max_bytes: int) -> FileContent:
        """At most `max_bytes` from `offset` on."""
        async with self._sftp(path) as sftp, sftp.open(_expand(path), "rb") as file:
            attributes = await file.stat()
            _require_regular(path, attributes)
            data = await file.read(max_bytes, offset)
            assert isinstance(data, bytes)  # noqa: S101 - tells mypy what mode "rb" means
        self._link.observer.on_bytes("received", len(data))
        return FileContent(data, offset, attributes.size or 0, eof=len(data) < max_bytes)

    async def write_file(self, path: str, data: bytes, *, mode: int | None = None) -> FileInfo:
        """Create or replace a file in one step: readers see the old content or the new one, never a mixture."""
        async with self._sftp(path) as sftp:
            target = await _realpath(sftp, path)
            temporary = posixpath.join(
                posixpath.dirname(target), f".{posixpath.basename(target)[:200]}.{secrets.token_hex(6)}"
            )
            async with sftp.open(temporary, "xb") as file:
                await file.write(data)
            await sftp.posix_rename(temporary, target)
            if mode is not None:
                await sftp.chmod(target, mode)
            return _info(target, await sftp.stat(target))

    async def list_directory(self, path: str, *, limit: int) -> DirectoryListing:
        """The first `limit` entries of a directory, sorted by name; symbolic links are shown as such."""
        entries: list[FileInfo] = []
        async with self._sftp(path) as sftp:
            base = await _realpath(sftp, path)
            async for entry in sftp.scandir(base):
                name = str(entry.filename)
                if name in (".", ".."):
                    continue
                if len(entries) == limit:
                    return DirectoryListing(sorted(entries, key=lambda e: e.path), truncated=True)
                entries.append(_info(posixpath.join(base, name), entry.attrs))
        return DirectoryListing(sorted(entries, key=lambda e: e.path), truncated=False)

    @asynccontextmanager
    async def _sftp(self, path: str) -> AsyncIterator[asyncssh.SFTPClient]:
        try:
            async with self._link.sftp() as client:
                yield client
        except asyncssh.SFTPError as error:
            raise FileError(f"{path}: {error.reason}.") from error


def _expand(path: str) -> str:
    return path.removeprefix("~/") or "." if path != "~" else "."


async def _realpath(sftp: asyncssh.SFTPClient, path: str) -> str:
    return str(await sftp.realpath(_expand(path)))


def _require_regular(path: str, attributes: asyncssh.SFTPAttrs) -> None:
    if attributes.permissions is not None and not statmodes.S_ISREG(attributes.permissions):
        raise FileError(f"{path} is not a regular file.")


def _info(path: str, attributes: asyncssh.SFTPAttrs) -> FileInfo:
    permissions = attributes.permissions or 0
    if statmodes.S_ISDIR(permissions):
        kind = FileType.DIRECTORY
    elif statmodes.S_ISLNK(permissions):
        kind = FileType.SYMLINK
    elif statmodes.S_ISREG(permissions):
        kind = FileType.FILE
    else:
        kind = FileType.OTHER
    return FileInfo(
        path=path,
        type=kind,
        size=attributes.size or 0,
        mode=statmodes.S_IMODE(permissions),
        modified=datetime.fromtimestamp(attributes.mtime or 0, UTC),
    )
