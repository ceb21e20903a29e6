"""Moving files and directories, in anchored directories: see `place`."""

import posixpath
from contextlib import AsyncExitStack

import asyncssh

from fairlead_sidecar.errors import FileError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.model import FileType, file_type
from fairlead_sidecar.ssh.files.paths import Spot
from fairlead_sidecar.ssh.files.place import anchored


async def move(sftp: asyncssh.SFTPClient, source: Spot, target: Spot, guard: Guard, *, overwrite: bool) -> None:
    """Give a file, directory or symbolic link another place on the same file system.

    Raises:
        FileChanged: Something is at the target and is not to be overwritten.
        FileError: The host refused; nothing was changed.
    """
    await require_movable(sftp, source, guard)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(anchored(sftp, source.directory))
        try:
            there = await stack.enter_async_context(anchored(sftp, target.directory))
        except asyncssh.SFTPNoSuchFile:
            raise file_errors.missing_directory(target.path) from None
        old, new = posixpath.join(here, source.name), posixpath.join(there, target.name)
        kind = file_type(await sftp.lstat(old))
        try:
            if overwrite:
                await sftp.posix_rename(old, new)
            else:
                await _move_to_free(sftp, old, new, target, kind)
        except asyncssh.SFTPFailure as error:
            if (await sftp.statvfs(here)).fsid != (await sftp.statvfs(there)).fsid:
                raise FileError(
                    f"{shown(source.path)} and {shown(target.path)} lie on different file systems; nothing was moved.",
                    hint="Copy it with a command, or write it anew and delete the old one.",
                ) from error
            if FileType.DIRECTORY in (kind, there_is := await _type(sftp, new)) and there_is is not None:
                raise FileError(
                    f"{shown(target.path)} is not replaced by this move: only an empty directory is, by a directory.",
                    hint="To move something into a directory, name its whole new path.",
                ) from error
            unknown = FileError(
                f"The host could not move {shown(source.path)} to {shown(target.path)}; nothing was changed.",
                hint="They may lie on different mounts, or a quota may be reached.",
            )
            raise await file_errors.of_change(sftp, target.path, there, error, otherwise=unknown) from error
        except asyncssh.SFTPBadMessage as error:
            raise FileError(
                f"{shown(source.path)} can't be moved to {shown(target.path)}; nothing was changed.",
                hint="A directory can't be moved into itself, and a name has at most 255 bytes.",
            ) from error


async def _move_to_free(sftp: asyncssh.SFTPClient, old: str, new: str, target: Spot, kind: FileType) -> None:
    if await _type(sftp, new) is not None:
        raise file_errors.exists(target.path)
    try:
        # OpenSSH does this with link and unlink for files, so that it never overwrites.
        await sftp.rename(old, new)
    except (asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied):
        if await _type(sftp, new) is not None:
            raise file_errors.exists(target.path) from None
        if kind is not FileType.FILE:
            raise
        # Hard links are forbidden here: to files of others, or by the file system.
        await sftp.posix_rename(old, new)


async def require_movable(sftp: asyncssh.SFTPClient, spot: Spot, guard: Guard) -> None:
    """Let neither the root, the home, what is above it, nor a policy's directory be moved or deleted.

    Raises:
        FileError: It is one of these.
    """
    home = await sftp.realpath(".")
    inside = "/" if spot.path == "/" else f"{spot.path}/"
    if f"{home}/".startswith(inside) or guard.is_root(spot.path):
        raise FileError(
            f"{shown(spot.path)} is neither moved nor deleted: it is the root, the account's home or above it, or a "
            "directory at which the host's policy begins.",
            hint="Name what is in it.",
        )


async def _type(sftp: asyncssh.SFTPClient, path: str) -> FileType | None:
    try:
        return file_type(await sftp.lstat(path))
    except asyncssh.SFTPNoSuchFile:
        return None
