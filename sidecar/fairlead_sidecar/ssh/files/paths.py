"""Where a path leads on the host, which is what a policy judges."""

import asyncio
import posixpath
from dataclasses import dataclass

import asyncssh

from fairlead_sidecar.errors import FileError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.guard import ANYWHERE, Guard
from fairlead_sidecar.ssh.files.model import FileType, file_type


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in a directory: the thing itself, which may be a symbolic link or not exist."""

    directory: str
    """Resolved."""
    name: str

    @property
    def path(self) -> str:
        """The whole path."""
        return posixpath.join(self.directory, self.name)


def remote(path: str) -> str:
    """The path as the SFTP server takes it, which starts in the home directory."""
    if path == "~":
        return "."
    return posixpath.join(".", path[2:]) if path.startswith("~/") else path


async def resolve(sftp: asyncssh.SFTPClient, path: str, guard: Guard = ANYWHERE) -> str:
    """The absolute path after the host followed all symbolic links and `..`, judged.

    The last part need not exist: then this is where a new file would be created.
    """
    try:
        resolved = await _realpath(sftp, path)
    except (FileError, asyncssh.SFTPError):
        # Whether something is missing or forbidden there is for those to know who may look.
        guard.judge(await as_far_as_it_goes(sftp, path))
        raise
    guard.judge(resolved)
    return resolved


async def resolve_spot(sftp: asyncssh.SFTPClient, path: str, guard: Guard = ANYWHERE) -> Spot:
    """As `resolve`, but a symbolic link in the last place is meant itself."""
    directory, name = posixpath.split(path.rstrip("/") or "/")
    if name in ("", ".", "..") or path == "~":
        directory, name = posixpath.split(await resolve(sftp, path, guard))
        return Spot(directory, name)
    try:
        spot = Spot(await _realpath(sftp, directory or "."), name)
    except (FileError, asyncssh.SFTPError):
        guard.judge(await as_far_as_it_goes(sftp, path))
        raise
    guard.judge(spot.path)
    return spot


async def as_far_as_it_goes(sftp: asyncssh.SFTPClient, path: str) -> str:
    """Where a path leads that the host can't resolve as a whole: its longest beginning that it can, and the rest."""
    parts = path.split("/")
    for count in range(len(parts) - 1, 0, -1):
        try:
            beginning = await _realpath(sftp, "/".join(parts[:count]) or "/")
        except (FileError, asyncssh.SFTPError):
            continue
        return posixpath.normpath(posixpath.join(beginning, *parts[count:]))
    return posixpath.normpath(posixpath.join(await _realpath(sftp, "~"), path))


async def _realpath(sftp: asyncssh.SFTPClient, path: str) -> str:
    try:
        resolved = await sftp.realpath(remote(path))
    except asyncssh.SFTPNoSuchFile:
        raise file_errors.missing_directory(path) from None
    parts = resolved.strip("/").split("/")
    prefixes = ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
    # OpenSSH follows every link here; a server that does not would let a link lead past the policy.
    if any(await asyncio.gather(*(_is_link(sftp, prefix) for prefix in prefixes))):
        raise FileError(
            f"The host's SFTP server does not say where {shown(path)} leads.",
            hint="If the path did not just change: use OpenSSH's own SFTP server there, or a path without links.",
        )
    return resolved


async def _is_link(sftp: asyncssh.SFTPClient, path: str) -> bool:
    try:
        return file_type(await sftp.lstat(path)) is FileType.SYMLINK
    except asyncssh.SFTPNoSuchFile:
        return False
