"""Writing files: whole ones in one step, or at the end.

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
from fairlead_sidecar.ssh.files.place import anchored, handle, opened, require_regular, settled
from fairlead_sidecar.ssh.files.reading import HASHED_BYTES, digest_of, read_whole

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
class _Place:
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
    async with _place(sftp, path, guard, leftovers) as place:
        existing = await _as_expected(place, expected)

        async def unchanged() -> None:
            if expected.sha256 is not None:
                await _as_expected(place, expected)

        await _replace(place, data, existing, mode, unchanged, overwrite=not expected.absent)
        return await _written(place, hashlib.sha256(data).hexdigest())


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
    async with _place(sftp, path, guard, leftovers) as place:
        existing = await place.attributes()
        old, _ = await read_whole(sftp, path, guard, limit=EDITED_BYTES, via=place.name)
        before = hashlib.sha256(old).hexdigest()
        if expected.sha256 not in (None, before):
            raise file_errors.changed(path)
        new = change(old)

        async def unchanged() -> None:
            if await place.digest() != before:
                raise file_errors.changed(path)

        if new != old:
            await _replace(place, new, existing, None, unchanged, overwrite=True)
        return old, await _written(place, hashlib.sha256(new).hexdigest())


async def append(
    sftp: asyncssh.SFTPClient,
    path: str,
    data: bytes,
    guard: Guard,
    leftovers: Leftovers,
    *,
    mode: int | None = None,
    expected: Expected = ANYTHING,
) -> Written:
    """Write at the end of a file in place, or create it; what can't be written whole is taken back."""
    async with _place(sftp, path, guard, leftovers) as place:
        existing = await _as_expected(place, expected)
        if existing is None:
            await _replace(place, data, None, mode, _nothing, overwrite=False)
            return await _written(place, hashlib.sha256(data).hexdigest())
        flags = asyncssh.FXF_READ | asyncssh.FXF_WRITE | asyncssh.FXF_APPEND
        async with opened(sftp, path, guard, via=place.name, mode=flags) as file:
            size = (await file.stat()).size or 0
            try:
                await file.write(data)
                await _sync(file)
                if mode is not None:
                    await file.chmod(mode)
            except file_errors.REFUSED as error:
                refusal = await file_errors.of_change(sftp, path, place.anchor, error)
                await settled(_take_back(file, size, len(data)))
                raise refusal from error
            except BaseException:
                await settled(_take_back(file, size, len(data)))
                raise
        small = size + len(data) <= HASHED_BYTES
        return await _written(place, await place.digest() if small else None)


@asynccontextmanager
async def _place(sftp: asyncssh.SFTPClient, path: str, guard: Guard, leftovers: Leftovers) -> AsyncIterator[_Place]:
    await leftovers.sweep(sftp)
    async with AsyncExitStack() as stack:
        try:
            anchor = await stack.enter_async_context(anchored(sftp, posixpath.dirname(path)))
        except asyncssh.SFTPNoSuchFile:
            raise file_errors.missing_directory(path) from None
        yield _Place(sftp, path, anchor, guard, leftovers)


async def _as_expected(place: _Place, expected: Expected) -> asyncssh.SFTPAttrs | None:
    existing = await place.attributes()
    if expected.absent and existing is not None:
        raise file_errors.exists(place.path)
    if expected.sha256 is not None and (existing is None or await place.digest() != expected.sha256):
        raise file_errors.changed(place.path)
    return existing


async def _replace(
    place: _Place,
    data: bytes,
    existing: asyncssh.SFTPAttrs | None,
    mode: int | None,
    unchanged: Callable[[], Awaitable[None]],
    *,
    overwrite: bool,
) -> None:
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


async def _rename_new(place: _Place, name: str) -> None:
    """As a rename, but never over something that exists."""
    try:
        await place.sftp.rename(name, place.name)
    except asyncssh.SFTPFailure:
        if await place.attributes() is not None:
            raise file_errors.exists(place.path) from None
        raise


async def _write_new(
    place: _Place, name: str, data: bytes, existing: asyncssh.SFTPAttrs | None, mode: int | None
) -> None:
    """Write a complete file under another name, with the rights that the final one is to have."""
    private = mode is not None or existing is not None
    attributes = asyncssh.SFTPAttrs(permissions=0o600) if private else asyncssh.SFTPAttrs()
    flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL

    async def begin() -> asyncssh.SFTPClientFile:
        return await place.sftp.open(name, flags, attributes, encoding=None)

    async with handle(begin) as file:
        await file.write(data)
        await _sync(file)
        if existing is not None:
            await _keep_owner(place.path, file, existing)
            mode = file_mode(existing) if mode is None else mode
        if mode is not None:
            await file.chmod(mode)


async def _sync(file: asyncssh.SFTPClientFile) -> None:
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


async def _take_back(file: asyncssh.SFTPClientFile, size: int, added: int) -> None:
    with suppress(asyncssh.Error, OSError):
        # More than that was not ours: then somebody else writes there too, whose words are not cut off.
        if (await file.stat()).size in range(size, size + added + 1):
            await file.truncate(size)


async def _remove(place: _Place, name: str, temporary: str) -> None:
    try:
        async with asyncio.timeout(5):
            await place.sftp.remove(name)
    except asyncssh.SFTPNoSuchFile:
        pass
    except (asyncssh.Error, OSError):
        # The connection is gone, most likely.
        place.leftovers.add(posixpath.dirname(place.path), temporary)


async def _written(place: _Place, digest: str | None) -> Written:
    attributes = await place.sftp.lstat(place.name)
    return Written(place.path, attributes.size or 0, file_mode(attributes), digest)


async def _nothing() -> None:
    pass
