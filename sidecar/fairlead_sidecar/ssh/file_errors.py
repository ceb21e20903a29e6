"""Turns what the SFTP server answers into errors that say what is wrong with the path."""

import asyncssh

from fairlead_sidecar.errors import ConnectionLost, FairleadError, FileChanged, FileError
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.file_names import shown

_NOT_THERE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_CONNECTION_GONE = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
LOST = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ConnectionLost, OSError)
"""What asyncssh raises when the connection is gone."""
REFUSED = (
    asyncssh.SFTPFailure,
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPNoSuchFile,
    asyncssh.SFTPBadMessage,
    asyncssh.SFTPOpUnsupported,
)
"""What it raises when the host refused a change."""
_READ_ONLY = 1
"""ST_RDONLY of statvfs."""


def from_sftp(path: str, error: asyncssh.Error | OSError) -> FairleadError:
    """The error for a failed operation on `path`."""
    named = shown(path)
    if not isinstance(error, asyncssh.SFTPError) or isinstance(error, _CONNECTION_GONE):
        return ConnectionLost(f"The connection to the host was lost while {named} was accessed.")
    if isinstance(error, _NOT_THERE):
        return FileError(f"{named} does not exist.")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return FileError(f"The account has no permission to access {named}.")
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return FileError(
            f"The host's SFTP server lacks what {named} needs: {quoted(error.reason)}.",
            hint="Use OpenSSH's own SFTP server on the host (`Subsystem sftp internal-sftp`).",
        )
    if isinstance(error, asyncssh.SFTPBadMessage):
        # What OpenSSH makes of ENAMETOOLONG and EINVAL.
        return FileError(
            f"The host takes no such path: {named[:200]}.", hint="A name has at most 255 bytes, a path 4095."
        )
    # SFTP version 3, which OpenSSH speaks, has no code for most errors: they all are a "Failure".
    return FileError(f"The host could not do that to {named}: {quoted(error.reason)}.")


async def of_change(
    sftp: asyncssh.SFTPClient,
    path: str,
    directory: str,
    error: asyncssh.SFTPError,
    *,
    otherwise: FileError | None = None,
) -> FileError:
    """The error for a change that the server refused without a reason: what the file system tells is the reason.

    Args:
        path: What was to be changed.
        directory: A name for its directory.
        error: What the server said.
        otherwise: What it is if the file system tells nothing.
    """
    if isinstance(error, asyncssh.SFTPFailure):
        try:
            system = await sftp.statvfs(directory)
        except asyncssh.SFTPError:
            return otherwise or not_written(path)
        if system.flags & _READ_ONLY:
            return FileError(
                f"{shown(path)} lies on a read-only file system; nothing was changed.",
                hint="Mount it writable on the host, or work elsewhere.",
            )
        if system.bavail == 0 or system.favail == 0 < system.files:
            return no_space(path)
        return otherwise or not_written(path)
    found = from_sftp(path, error)
    assert isinstance(found, FileError)  # noqa: S101 - connection losses are not given here
    return found


class MissingDirectory(FileError):
    """Something on the way to a path does not exist."""


def missing_directory(path: str) -> MissingDirectory:
    """A file was to be created where there is no directory."""
    return MissingDirectory(f"The directory of {shown(path)} does not exist.", hint="Create the directory first.")


def no_directory(path: str) -> FileError:
    """A directory was asked for."""
    return FileError(f"{shown(path)} is not a directory.", hint="Name the directory that it lies in.")


def no_space(path: str) -> FileError:
    """The file system is full."""
    return FileError(
        f"There is no space left on the host for {shown(path)}; nothing was changed.",
        hint="Free space on the host, then retry.",
    )


def not_written(path: str) -> FileError:
    """The server refused for a reason that it does not name, though the file system is neither full nor read-only."""
    return FileError(
        f"The host could not write {shown(path)}; nothing was changed.",
        hint="A quota or a limit of the file size may be reached on the host.",
    )


def foreign_owner(path: str) -> FileError:
    """Replacing the file would take it away from its owner."""
    return FileError(
        f"{shown(path)} belongs to another user or group, which a replacement by this account could not; "
        "nothing was changed.",
        hint="Change its content with a command that writes in place, or work as its owner.",
    )


def changed(path: str) -> FileChanged:
    """The file holds something else than the caller took it for."""
    return FileChanged(f"{shown(path)} holds something else by now; nothing was changed.")


def exists(path: str) -> FileChanged:
    """Something is where nothing should be."""
    return FileChanged(
        f"{shown(path)} exists already; nothing was changed.", hint="Choose another path, or ask to overwrite it."
    )
