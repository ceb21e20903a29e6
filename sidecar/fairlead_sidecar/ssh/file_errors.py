"""Turns what the SFTP server answers into errors that say what is wrong with the path."""

import asyncssh

from fairlead_sidecar.errors import ConnectionLost, FairleadError, FileError
from fairlead_sidecar.ssh.failures import quoted

_NOT_THERE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_CONNECTION_GONE = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


def from_sftp(path: str, error: asyncssh.Error | OSError) -> FairleadError:
    """The error for a failed operation on `path`."""
    if not isinstance(error, asyncssh.SFTPError) or isinstance(error, _CONNECTION_GONE):
        return ConnectionLost(f"The connection to the host was lost while {path} was accessed.")
    if isinstance(error, _NOT_THERE):
        return FileError(f"{path} does not exist.")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return FileError(f"The account has no permission to access {path}.")
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return FileError(
            f"The host's SFTP server lacks what {path} needs: {quoted(error.reason)}.",
            hint="Use OpenSSH's own SFTP server on the host (`Subsystem sftp internal-sftp`).",
        )
    # SFTP version 3, which OpenSSH speaks, has no code for most errors: they all are a "Failure".
    return FileError(f"The host could not do that to {path}: {quoted(error.reason)}.")


def missing_directory(path: str) -> FileError:
    """A file was to be created where there is no directory."""
    return FileError(f"The directory of {path} does not exist.", hint="Create the directory first.")


def no_space(path: str) -> FileError:
    """The file system is full."""
    return FileError(
        f"There is no space left on the host for {path}; nothing was changed.",
        hint="Free space on the host, then retry.",
    )


def not_written(path: str) -> FileError:
    """The server refused data for a reason that it does not name, though the file system is not full."""
    return FileError(
        f"The host could not write {path}; nothing was changed.",
        hint="A quota or a limit of the file size may be reached on the host.",
    )


def foreign_owner(path: str) -> FileError:
    """Replacing the file would take it away from its owner."""
    return FileError(
        f"{path} belongs to another user or group, which a replacement by this account could not; nothing was changed.",
        hint="Change its content with a command that writes in place, or work as its owner.",
    )
