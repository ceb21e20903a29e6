"""Files on the host over SFTP."""

import asyncio
import posixpath
import secrets
import stat as statmodes
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import asyncssh

from fairlead_sidecar.errors import FairleadError, FileError, InvalidRequest
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.link import Link

MAX_SCANNED = 100_000
"""Entries of a directory that are looked at, at most."""
_KEPT_MODE = 0o7777


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
    """Bytes that are no UTF-8 are kept as surrogates (PEP 383)."""
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

    Paths are absolute or relative to the account's home; `~` and `~/…` mean the home too. Every method raises
    `FileError` with a sentence, `InvalidRequest` for what can't be a path, or a `LinkError` where there is no
    connection.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def realpath(self, path: str) -> str:
        """The absolute path after all symbolic links and `..` were followed on the host.

        The last part need not exist: then this is where a new file would be created. A policy has to judge this
        path, and the operation has to be done on it.
        """
        async with self._sftp(path) as sftp:
            return await _realpath(sftp, path)

    async def stat(self, path: str) -> FileInfo:
        """Type, size, mode and time; symbolic links are followed."""
        async with self._sftp(path) as sftp:
            return _info(path, await sftp.stat(_remote(path)))

    async def read_file(self, path: str, *, offset: int = 0, max_bytes: int) -> FileContent:
        """At most `max_bytes` from `offset` on."""
        async with self._sftp(path) as sftp:
            # Before it is opened: opening a named pipe would block the whole SFTP session.
            _require_regular(path, await sftp.stat(_remote(path)))
            async with sftp.open(_remote(path), "rb") as file:
                size = (await file.stat()).size or 0
                data = await file.read(max_bytes, offset)
            assert isinstance(data, bytes)  # noqa: S101 - tells mypy what mode "rb" means
        self._link.observer.on_bytes("received", len(data))
        ended = len(data) < max_bytes or (size > 0 and offset + len(data) >= size)
        return FileContent(data, offset, size, eof=ended)

    async def write_file(self, path: str, data: bytes, *, mode: int | None = None, follow: bool = True) -> FileInfo:
        """Create or replace a file in one step: readers see the old content or the new one, never a mixture.

        A file that exists keeps its owner and group and, without `mode`, its permissions; a new one gets what the
        account's umask gives. Extended attributes and further hard links are not carried over.

        Args:
            path: A symbolic link is followed; its target is replaced.
            data: The whole new content.
            mode: Permission bits.
            follow: False for a path that `realpath` gave and a policy has judged: where a symbolic link has taken the
                place of a part of it since, nothing is written.
        """
        async with self._sftp(path) as sftp:
            target = await _realpath(sftp, path)
            if not follow:
                _require_unchanged(path, target)
            existing = await _stat_or_none(sftp, target)
            if existing is not None:
                _require_regular(path, existing)
            directory, name = posixpath.split(target)
            # Names have at most 255 bytes.
            short = name.encode(errors="surrogateescape")[:200].decode(errors="ignore")
            temporary = posixpath.join(directory, f".{short}.{secrets.token_hex(6)}")
            try:
                await _write_new(sftp, temporary, data, path=path, existing=existing, mode=mode)
                self._link.observer.on_bytes("sent", len(data))
                if not follow:
                    _require_unchanged(path, await _realpath(sftp, path))
                await sftp.posix_rename(temporary, target)
            except BaseException:
                # A task of its own: it also runs when this one is being cancelled.
                await asyncio.shield(asyncio.get_running_loop().create_task(_remove(sftp, temporary)))
                raise
            return _info(target, await sftp.stat(target))

    async def list_directory(self, path: str, *, limit: int) -> DirectoryListing:
        """The first `limit` entries of a directory by name; symbolic links are shown as such."""
        kept: list[FileInfo] = []
        count = 0
        async with self._sftp(path) as sftp:
            base = await _realpath(sftp, path)
            if _type(await sftp.stat(base)) is not FileType.DIRECTORY:
                raise FileError(f"{path} is not a directory.")
            async with aclosing(_entries(sftp, base)) as entries:
                async for info in entries:
                    kept.append(info)
                    count += 1
                    if len(kept) > 2 * limit:
                        kept = _first(kept, limit)
                    if count == MAX_SCANNED:
                        break
        return DirectoryListing(_first(kept, limit), truncated=count > limit or count == MAX_SCANNED)

    @asynccontextmanager
    async def _sftp(self, path: str) -> AsyncIterator[asyncssh.SFTPClient]:
        try:
            async with self._link.sftp() as client:
                yield client
        except FairleadError:
            raise
        except (asyncssh.Error, OSError) as error:
            raise file_errors.from_sftp(path, error) from error


def _remote(path: str) -> str:
    """The path as the SFTP server takes it, which starts in the home directory."""
    if not path or "\0" in path:
        raise InvalidRequest("The path is empty or holds a NUL character.")
    try:
        path.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest("The path holds characters that have no UTF-8 form.") from None
    if path == "~":
        return "."
    return posixpath.join(".", path[2:]) if path.startswith("~/") else path


async def _realpath(sftp: asyncssh.SFTPClient, path: str) -> str:
    try:
        resolved = await sftp.realpath(_remote(path))
    except asyncssh.SFTPNoSuchFile:
        raise file_errors.missing_directory(path) from None
    parts = resolved.strip("/").split("/")
    prefixes = ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
    # OpenSSH follows every link here; a server that does not would let a link lead past the policy.
    if any(await asyncio.gather(*(_is_link(sftp, prefix) for prefix in prefixes))):
        raise FileError(
            f"The host's SFTP server does not say where {path} leads.",
            hint="Use OpenSSH's own SFTP server on the host, or a path without symbolic links.",
        )
    return resolved


async def _is_link(sftp: asyncssh.SFTPClient, path: str) -> bool:
    try:
        return _type(await sftp.lstat(path)) is FileType.SYMLINK
    except asyncssh.SFTPNoSuchFile:
        return False


async def _stat_or_none(sftp: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    try:
        return await sftp.stat(path)
    except asyncssh.SFTPNoSuchFile:
        return None


async def _write_new(
    sftp: asyncssh.SFTPClient,
    temporary: str,
    data: bytes,
    *,
    path: str,
    existing: asyncssh.SFTPAttrs | None,
    mode: int | None,
) -> None:
    """Write a complete file under another name, with the rights that the final one is to have."""
    private = mode is not None or existing is not None
    attributes = asyncssh.SFTPAttrs(permissions=0o600) if private else asyncssh.SFTPAttrs()
    try:
        file = await sftp.open(temporary, "xb", attributes)
    except asyncssh.SFTPNoSuchFile:
        raise file_errors.missing_directory(path) from None
    async with file:
        try:
            await file.write(data)
            with suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()
        except asyncssh.SFTPFailure as error:
            full = await _is_full(file)
            raise (file_errors.no_space(path) if full else file_errors.not_written(path)) from error
        if existing is not None:
            await _keep_owner(path, file, existing)
            if mode is None and existing.permissions is not None:
                mode = existing.permissions & _KEPT_MODE
        if mode is not None:
            await file.chmod(mode)


async def _keep_owner(path: str, file: asyncssh.SFTPClientFile, existing: asyncssh.SFTPAttrs) -> None:
    mine = await file.stat()
    if (mine.uid, mine.gid) == (existing.uid, existing.gid) or existing.uid is None or existing.gid is None:
        return
    try:
        await file.chown(existing.uid, existing.gid)
    except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure) as error:
        raise file_errors.foreign_owner(path) from error


async def _is_full(file: asyncssh.SFTPClientFile) -> bool:
    try:
        return (await file.statvfs()).bavail == 0
    except asyncssh.SFTPError:
        return False


async def _remove(sftp: asyncssh.SFTPClient, path: str) -> None:
    # It may not have come into being, or the connection may be gone.
    with suppress(asyncssh.Error, OSError):
        await sftp.remove(path)


async def _entries(sftp: asyncssh.SFTPClient, directory: str) -> AsyncGenerator[FileInfo, None]:
    async for entry in sftp.scandir(directory):
        name = str(entry.filename)
        if name not in (".", ".."):
            yield _info(posixpath.join(directory, name), entry.attrs)


def _require_unchanged(path: str, target: str) -> None:
    if target != path:
        raise FileError(
            f"{path} was replaced by a symbolic link just now; nothing was written.",
            hint="Look at the directory, then retry.",
        )


def _first(entries: list[FileInfo], limit: int) -> list[FileInfo]:
    return sorted(entries, key=lambda info: info.path)[:limit]


def _require_regular(path: str, attributes: asyncssh.SFTPAttrs) -> None:
    kind = _type(attributes)
    if kind is FileType.DIRECTORY:
        raise FileError(f"{path} is a directory.", hint="Name a file in it.")
    if kind is not FileType.FILE:
        raise FileError(f"{path} is no regular file, but a device, socket or named pipe.", hint="Name a regular file.")


def _type(attributes: asyncssh.SFTPAttrs) -> FileType:
    permissions = attributes.permissions or 0
    if statmodes.S_ISDIR(permissions):
        return FileType.DIRECTORY
    if statmodes.S_ISLNK(permissions):
        return FileType.SYMLINK
    return FileType.FILE if statmodes.S_ISREG(permissions) else FileType.OTHER


def _info(path: str, attributes: asyncssh.SFTPAttrs) -> FileInfo:
    return FileInfo(
        path=path,
        type=_type(attributes),
        size=attributes.size or 0,
        mode=statmodes.S_IMODE(attributes.permissions or 0),
        modified=datetime.fromtimestamp(attributes.mtime or 0, UTC),
    )
