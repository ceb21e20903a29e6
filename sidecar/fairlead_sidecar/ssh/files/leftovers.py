"""Temporary files that could not be removed because the connection was lost."""

import posixpath
from contextlib import suppress

import asyncssh

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.files.place import anchored

_MOST = 100


class Leftovers:
    """Remembers them for one link until the next write removes them."""

    def __init__(self) -> None:
        self._known: list[tuple[str, str]] = []

    def add(self, directory: str, name: str) -> None:
        """Remember the file `name` in a resolved directory."""
        self._known = [*self._known, (directory, name)][-_MOST:]

    async def sweep(self, sftp: asyncssh.SFTPClient) -> None:
        """Remove them. The names are random, so nothing else can be meant."""
        while self._known:
            directory, name = self._known.pop()
            try:
                async with anchored(sftp, directory) as anchor:
                    with suppress(asyncssh.SFTPNoSuchFile):
                        await sftp.remove(posixpath.join(anchor, name))
            except file_errors.LOST:
                self.add(directory, name)
                raise
            except (asyncssh.SFTPError, FairleadError):
                # Its directory is gone or closed to the account by now.
                continue
