"""Writing files in one step.

The new content is written under another name in the same directory and takes the old one's place with a rename, so that
readers see the old content or the new one. Whether the file still is what the caller took it for is looked at once more
right before the rename; a change between that look and the rename, some milliseconds, goes unnoticed.
"""

import asyncio
import hashlib
import posixpath
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import asyncssh

from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.leftovers import Leftovers
from fairlead_sidecar.ssh.files.model import Written, file_mode
from fairlead_sidecar.ssh.files.place import anchored, handle, require_regular, settled
from fairlead_sidecar.ssh.files.reading import digest_of, read_whole

EDITED_BYTES = 4 * 1024 * 1024
"""Largest file that is changed in part."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller takes the file for; where it is something else, nothing is written."""

    sha256: str | None = None
    """Hex SHA-256 of its content."""
    absent: bool = False
    """There is none."""


ANYTHING = Expected()
"""It may be whatever it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file's place while it is being written."""

    sftp: asyncssh.SFTPClient
    path: str
    """Resolved and judged."""
    anchor: str
    """A name for its directory."""
    guard: Guard
    leftovers: Leftovers

    @property
    def name(self) -> str:
        """The file, by way of the anchor."""
        return posixpath.join(self.anchor, posixpath.basename(self.path))

    async def attributes(self) -> asyncssh.SFTPAttrs | None:
        """What is there; None if nothing is."""
        try:
            found = await self.sftp.lstat(self.name)
        except asyncssh.SFTPNoSuchFile:
            return None
        require_regular(self.path, found)
        return found

    async def digest(self) -> str:
        """Hex SHA-256 of what is there."""
        return await digest_of(self.sftp, self.path, self.guard, via=self.name)


async def write(
    sftp: asyncssh.SFTPClient,
    path: str,
    data: bytes,
    guard: Guard,
    leftovers: Leftovers,
    *,
    mode: int | None = None,
    expected: Expected = ANYTHING,
) -> Written:
    """Create or replace the file at a resolved path.

    A file that exists keeps its owner and group and, without `mode`, its permissions; a new one gets what the
    account's umask gives. Extended attributes and further hard links are not carried over.

    Raises:
        FileChanged: It is not as `expected`.
        FileError: The host refused; the file is as it was.
    """
    async with placed(sftp, path, guard, leftovers) as place:
        existing = await as_expected(place, expected)

        async def unchanged() -> None:
            if expected.sha256 is not None:
                await as_expected(place, expected)

        await replace(place, data, existing, mode, unchanged, overwrite=not expected.absent)
        return await written_file(place, hashlib.sha256(data).hexdigest())


async def edit(
    sftp: asyncssh.SFTPClient,
    path: str,
    change: Callable[[bytes], bytes],
    guard: Guard,
    leftovers: Leftovers,
    *,
    expected: Expected = ANYTHING,
) -> tuple[bytes, Written]:
    """Change the content of a file that exists; gives the old content too.

    Raises:
        FileChanged: It is not as `expected`, or changed meanwhile.
        FileError: The host refused, or it is too large; the file is as it was.
    """
    async with placed(sftp, path, guard, leftovers) as place:
        existing = await place.attributes()
        old, _ = await read_whole(sftp, path, guard, limit=EDITED_BYTES, via=place.name)
        before = hashlib.sha256(old).hexdigest()
        if expected.sha256 not in (None, before):
            raise file_errors.changed(path)
        # In a thread: many replacements in a large file take a while.
        new = await asyncio.to_thread(change, old)

        async def unchanged() -> None:
            if await place.digest() != before:
                raise file_errors.changed(path)

        if new != old:
            await replace(place, new, existing, None, unchanged, overwrite=True)
        return old, await written_file(place, hashlib.sha256(new).hexdigest())


@asynccontextmanager
async def placed(sftp: asyncssh.SFTPClient, path: str, guard: Guard, leftovers: Leftovers) -> AsyncIterator[Place]:
    """The place of a file at a resolved path, which keeps meaning the same directory."""
    await leftovers.sweep(sftp)
    async with AsyncExitStack() as stack:
        try:
            anchor = await stack.enter_async_context(anchored(sftp, posixpath.dirname(path)))
        except asyncssh.SFTPNoSuchFile:
            raise file_errors.missing_directory(path) from None
        yield Place(sftp, path, anchor, guard, leftovers)


async def as_expected(place: Place, expected: Expected) -> asyncssh.SFTPAttrs | None:
    """What is there now, if it is as expected.

    Raises:
        FileChanged: It is not.
    """
    existing = await place.attributes()
    if expected.absent and existing is not None:
        raise file_errors.exists(place.path)
    if expected.sha256 is not None and (existing is None or await place.digest() != expected.sha256):
        raise file_errors.changed(place.path)
    return existing


async def replace(
    place: Place,
    data: bytes,
    existing: asyncssh.SFTPAttrs | None,
    mode: int | None,
    unchanged: Callable[[], Awaitable[None]],
    *,
    overwrite: bool,
) -> None:
    """Put a new file in the place, or nothing at all.

    Args:
        existing: What was there, whose owner and, without `mode`, permissions the new file gets.
        unchanged: Looks once more before the rename, and raises where the file is not the same any more.
        overwrite: Whether the rename may replace what is there.
    """
    # Names have at most 255 bytes.
    short = posixpath.basename(place.path).encode(errors="surrogateescape")[:200].decode(errors="ignore")
    temporary = f".{short}.{secrets.token_hex(6)}"
    name = posixpath.join(place.anchor, temporary)
    try:
        await _write_new(place, name, data, existing, mode)
        await unchanged()
        if overwrite:
            await place.sftp.posix_rename(name, place.name)
        else:
            await _rename_new(place, name)
    except file_errors.REFUSED as error:
        # Asked before the removal: afterwards there is space again.
        refusal = await file_errors.of_change(place.sftp, place.path, place.anchor, error)
        await settled(_remove(place, name, temporary))
        raise refusal from error
    except file_errors.LOST as error:
        await settled(_remove(place, name, temporary))
        left = posixpath.join(posixpath.dirname(place.path), temporary)
        raise ConnectionLost(
            f"The connection to the host was lost while {shown(place.path)} was written.",
            hint=f"Look whether it was. {shown(left)} may remain there; the next write removes it.",
        ) from error
    except BaseException:
        await settled(_remove(place, name, temporary))
        raise


async def _rename_new(place: Place, name: str) -> None:
    """As a rename, but never over something that exists."""
    try:
        await place.sftp.rename(name, place.name)
    except asyncssh.SFTPFailure:
        if await place.attributes() is not None:
            raise file_errors.exists(place.path) from None
        raise


async def _write_new(
    place: Place, name: str, data: bytes, existing: asyncssh.SFTPAttrs | None, mode: int | None
) -> None:
    """Write a complete file under another name, with the rights that the final one is to have."""
    private = mode is not None or existing is not None
    attributes = asyncssh.SFTPAttrs(permissions=0o600) if private else asyncssh.SFTPAttrs()
    flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL

    async def begin() -> asyncssh.SFTPClientFile:
        return await place.sftp.open(name, flags, attributes, encoding=None)

    async with handle(begin) as file:
        await file.write(data)
        await sync(file)
        if existing is not None:
            await _keep_owner(place.path, file, existing)
            mode = file_mode(existing) if mode is None else mode
        if mode is not None:
            await file.chmod(mode)


async def sync(file: asyncssh.SFTPClientFile) -> None:
    """Let it reach the disk, where the server can do that."""
    with suppress(asyncssh.SFTPOpUnsupported):
        await file.fsync()


async def _keep_owner(path: str, file: asyncssh.SFTPClientFile, existing: asyncssh.SFTPAttrs) -> None:
    mine = await file.stat()
    if (mine.uid, mine.gid) == (existing.uid, existing.gid) or existing.uid is None or existing.gid is None:
        return
    try:
        await file.chown(existing.uid, existing.gid)
    except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure) as error:
        raise file_errors.foreign_owner(path) from error


async def _remove(place: Place, name: str, temporary: str) -> None:
    try:
        async with asyncio.timeout(5):
            await place.sftp.remove(name)
    except asyncssh.SFTPNoSuchFile:
        pass
    except (asyncssh.Error, OSError):
        # The connection is gone, most likely.
        place.leftovers.add(posixpath.dirname(place.path), temporary)


async def written_file(place: Place, digest: str | None) -> Written:
    """The file as it is now."""
    attributes = await place.sftp.lstat(place.name)
    return Written(place.path, attributes.size or 0, file_mode(attributes), digest)
