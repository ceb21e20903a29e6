"""Making directories, in anchored directories: see `place`."""

import posixpath
from contextlib import suppress

import asyncssh

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.model import FileType, file_mode, file_type
from fairlead_sidecar.ssh.files.place import anchored


async def make_directory(
    sftp: asyncssh.SFTPClient, path: str, guard: Guard, *, mode: int | None = None, parents: bool, exist_ok: bool
) -> tuple[list[str], int]:
    """Make a directory at a clean absolute path; gives the directories made, and the last one's mode.

    Args:
        path: Resolved as far as it exists.
        guard: Judges each directory that is made.
        mode: Of the last one; the others get what the umask gives.
        parents: Make those above too.
        exist_ok: Whether it may be there already.
    """
    missing, existing = [path], posixpath.dirname(path)
    if await _kind(sftp, path) is not None:
        missing, existing = [], path
    while missing and await _kind(sftp, existing) is None:
        if not parents:
            raise file_errors.missing_directory(path)
        missing.insert(0, existing)
        existing = posixpath.dirname(existing)
    if not missing:
        if not exist_ok:
            raise file_errors.exists(path)
        if await _kind(sftp, path) is not FileType.DIRECTORY:
            raise file_errors.no_directory(path)
    if missing and await _kind(sftp, existing) is FileType.FILE:
        raise file_errors.no_directory(existing)
    for directory in missing:
        guard.judge(directory)
        async with anchored(sftp, posixpath.dirname(directory)) as anchor:
            name = posixpath.join(anchor, posixpath.basename(directory))
            try:
                await sftp.mkdir(name)
            except asyncssh.SFTPFailure as error:
                raise await file_errors.of_change(sftp, directory, anchor, error) from error
    async with anchored(sftp, path) as anchor:
        if missing and mode is not None:
            await sftp.chmod(f"{anchor}/.", mode)
        return missing, file_mode(await sftp.stat(f"{anchor}/."))


async def remove_made(sftp: asyncssh.SFTPClient, made: list[str]) -> None:
    """Take back directories that were made for something that failed; what is used by now stays."""
    for directory in reversed(made):
        with suppress(asyncssh.Error, OSError, FairleadError):
            async with anchored(sftp, posixpath.dirname(directory)) as anchor:
                await sftp.rmdir(posixpath.join(anchor, posixpath.basename(directory)))


async def _kind(sftp: asyncssh.SFTPClient, path: str) -> FileType | None:
    try:
        return file_type(await sftp.lstat(path))
    except asyncssh.SFTPNoSuchFile:
        return None
    except asyncssh.SFTPFailure as error:
        raise file_errors.no_directory(posixpath.dirname(path)) from error
