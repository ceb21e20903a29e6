"""Deleting, in anchored directories: see `place`."""

import asyncio
import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from fairlead_sidecar.errors import FairleadError, FileError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.model import FileType, file_type
from fairlead_sidecar.ssh.files.moving import require_movable
from fairlead_sidecar.ssh.files.paths import Spot
from fairlead_sidecar.ssh.files.place import anchored, entries_of

MAX_DELETED = 10_000
"""Entries that one call deletes at most."""
MAX_DEPTH = 100
_AT_ONCE = 64


async def delete(sftp: asyncssh.SFTPClient, spot: Spot, guard: Guard, *, recursive: bool) -> int:
    """Delete a file, a symbolic link itself, or a directory; gives how many entries went.

    A directory must be empty unless `recursive`; what is below is counted first, and nothing is deleted where it is
    too much. Symbolic links are never followed.

    Raises:
        FileError: The host refused; the message says whether something was deleted before.
    """
    await require_movable(sftp, spot, guard)
    async with anchored(sftp, spot.directory) as anchor:
        name = posixpath.join(anchor, spot.name)
        if file_type(await sftp.lstat(name)) is not FileType.DIRECTORY:
            try:
                await sftp.remove(name)
            except asyncssh.SFTPFailure as error:
                raise await file_errors.of_change(sftp, spot.path, anchor, error) from error
            return 1
        deletion = _Deletion(sftp)
        if recursive:
            await deletion.count(spot.path, 0)
            async with deletion.telling(spot.path):
                await deletion.empty(spot.path, 0)
        try:
            await sftp.rmdir(name)
        except asyncssh.SFTPFailure as error:
            if await _filled(sftp, spot.path):
                raise _not_empty(spot.path, deletion.gone) from error
            raise await file_errors.of_change(sftp, spot.path, anchor, error) from error
        return deletion.gone + 1


class _Deletion:
    """Of what is in a directory."""

    def __init__(self, sftp: asyncssh.SFTPClient) -> None:
        self._sftp = sftp
        self._found = 0
        self.gone = 0

    async def count(self, directory: str, depth: int) -> None:
        """Look at everything below first, so that nothing is deleted where it is too much."""
        files, directories = await self._entries(directory, depth)
        self._found += len(files) + len(directories)
        if self._found > MAX_DELETED:
            raise FileError(
                f"There are more than {MAX_DELETED} entries; nothing was deleted.",
                hint="Delete parts of it, or use a command.",
            )
        for name in directories:
            await self.count(posixpath.join(directory, name), depth + 1)

    async def empty(self, directory: str, depth: int) -> None:
        """Delete what is in a directory."""
        async with anchored(self._sftp, directory) as anchor:
            files, directories = await self._entries(directory, depth, anchor)
            for start in range(0, len(files), _AT_ONCE):
                names = files[start : start + _AT_ONCE]
                await asyncio.gather(*(self._remove(posixpath.join(anchor, name)) for name in names))
            for name in directories:
                await self.empty(posixpath.join(directory, name), depth + 1)
                await self._sftp.rmdir(posixpath.join(anchor, name))
                self.gone += 1

    @asynccontextmanager
    async def telling(self, path: str) -> AsyncIterator[None]:
        """Errors within say how much was deleted before."""
        try:
            yield
        except file_errors.LOST:
            raise
        except (asyncssh.SFTPError, FairleadError) as error:
            reason = error.message if isinstance(error, FairleadError) else file_errors.from_sftp(path, error).message
            raise FileError(f"{shown(path)} was deleted in part only, {self.gone} entries: {reason}") from error

    async def _remove(self, name: str) -> None:
        await self._sftp.remove(name)
        self.gone += 1

    async def _entries(self, directory: str, depth: int, anchor: str | None = None) -> tuple[list[str], list[str]]:
        if depth > MAX_DEPTH:
            raise FileError(f"Directories are nested more than {MAX_DEPTH} deep.", hint="Use a command.")
        files: list[str] = []
        directories: list[str] = []
        if anchor is None:
            async with anchored(self._sftp, directory) as found:
                return await self._entries(directory, depth, found)
        async with entries_of(self._sftp, f"{anchor}/.") as entries:
            async for entry in entries:
                is_directory = file_type(entry.attrs) is FileType.DIRECTORY
                (directories if is_directory else files).append(str(entry.filename))
        return files, directories


async def _filled(sftp: asyncssh.SFTPClient, directory: str) -> bool:
    async with entries_of(sftp, directory) as entries:
        return [entry async for entry in entries] != []


def _not_empty(path: str, gone: int) -> FileError:
    if gone:
        return FileError(f"{shown(path)} was filled again while it was deleted.", hint="Look at what is in it now.")
    return FileError(
        f"{shown(path)} is not empty; nothing was deleted.", hint="Ask for `recursive` to delete what is in it too."
    )
