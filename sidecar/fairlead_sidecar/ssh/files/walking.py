"""Looking at directories and what is below them, several at a time, never through a symbolic link."""

import asyncio
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncssh

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.model import FileInfo, FileType, Listing, file_info
from fairlead_sidecar.ssh.files.place import anchored, entries_of, not_listed
from fairlead_sidecar.ssh.files.together import together

MAX_SCANNED = 100_000
"""Entries that one call looks at, at most."""
_AT_ONCE = 8
"""Directories that are listed at the same time."""

_GENERATED = frozenset({"/proc", "/sys"})
"""Directories that are not looked into from above: they are large, and hold nothing that lasts."""

Visit = Callable[[FileInfo], Awaitable[bool]]
"""Gets each entry, with an absolute path; False ends the walk."""


@dataclass
class Walk:
    """A walk below a resolved directory, level by level, and what it has seen so far.

    Args:
        guard: What it does not allow is left out.
        depth: Levels below the directory.
        hidden: Whether entries are shown whose names begin with a dot.
    """

    sftp: asyncssh.SFTPClient
    guard: Guard
    depth: int
    hidden: bool = True
    scanned: int = 0
    """Entries looked at."""
    unreadable: int = 0
    """Directories that the account can't list, or that moved meanwhile."""
    cut: bool = False
    """There are more entries than `MAX_SCANNED`."""
    ended: bool = False
    """It was ended before everything was seen."""

    async def run(self, top: str, visit: Visit, *, descend: Callable[[], bool] = lambda: True) -> None:
        """Show everything to `visit`, and look into a further level while `descend()` says so.

        Raises:
            FileError: `top` can't be listed.
        """
        below: list[str] = []
        await self._list(top, visit, below, required=True)
        for _ in range(self.depth - 1):
            level, below = sorted(below), []
            if not level or self.ended or not descend():
                return
            pending = iter(level)
            await together(*(self._list_each(pending, visit, below) for _ in range(min(_AT_ONCE, len(level)))))

    async def _list_each(self, pending: Iterator[str], visit: Visit, below: list[str]) -> None:
        for directory in pending:
            if self.ended:
                return
            await self._list(directory, visit, below, required=False)

    async def _list(self, directory: str, visit: Visit, below: list[str], *, required: bool) -> None:
        try:
            async with scannable(self.sftp, directory, self.guard) as name, entries_of(self.sftp, name) as found:
                async for entry in found:
                    if not await self._show(posixpath.join(directory, str(entry.filename)), entry.attrs, visit, below):
                        return
        except file_errors.LOST:
            raise
        except (asyncssh.SFTPError, FairleadError) as error:
            if required and isinstance(error, asyncssh.SFTPError):
                raise await not_listed(self.sftp, directory, error) from error
            if required:
                raise
            self.unreadable += 1

    async def _show(self, path: str, attributes: asyncssh.SFTPAttrs, visit: Visit, below: list[str]) -> bool:
        self.scanned += 1
        if self.scanned > MAX_SCANNED:
            self.cut = self.ended = True
            return False
        if (not self.hidden and posixpath.basename(path).startswith(".")) or not self.guard.allows(path):
            return True
        info = file_info(path, attributes)
        if info.type is FileType.DIRECTORY and path not in _GENERATED:
            below.append(path)
        self.ended = self.ended or not await visit(info)
        return not self.ended


async def listing(
    sftp: asyncssh.SFTPClient, directory: str, guard: Guard, *, limit: int, depth: int, hidden: bool
) -> Listing:
    """The first `limit` entries below a resolved directory by path; symbolic links with what they hold.

    A deeper level is looked at only while there are fewer.
    """
    kept: list[FileInfo] = []
    count = 0

    async def visit(info: FileInfo) -> bool:
        nonlocal kept, count
        count += 1
        kept.append(info)
        if len(kept) > 2 * limit:
            kept = _first(kept, limit)
        return True

    walk = Walk(sftp, guard, depth, hidden)
    await walk.run(directory, visit, descend=lambda: count <= limit)
    kept = await _with_targets(sftp, guard, _first(kept, limit))
    return Listing(directory, kept, truncated=count > limit or walk.cut, unreadable=walk.unreadable)


@asynccontextmanager
async def scannable(sftp: asyncssh.SFTPClient, directory: str, guard: Guard) -> AsyncIterator[str]:
    """A name of the directory; where not everything is allowed, one that can't come to mean another."""
    if guard.everything:
        yield directory
        return
    async with anchored(sftp, directory) as anchor:
        yield f"{anchor}/."


async def _with_targets(sftp: asyncssh.SFTPClient, guard: Guard, kept: list[FileInfo]) -> list[FileInfo]:
    targets: dict[str, str] = {}
    links = [info.path for info in kept if info.type is FileType.SYMLINK]
    for directory in sorted({posixpath.dirname(path) for path in links}):
        names = [posixpath.basename(path) for path in links if posixpath.dirname(path) == directory]
        try:
            async with scannable(sftp, directory, guard) as anchor:
                found = await asyncio.gather(*(read_link(sftp, posixpath.join(anchor, name)) for name in names))
        except file_errors.LOST:
            raise
        except (asyncssh.SFTPError, FairleadError):
            continue
        targets |= {
            posixpath.join(directory, name): target for name, target in zip(names, found, strict=True) if target
        }
    return [replace(info, target=targets.get(info.path)) for info in kept]


async def read_link(sftp: asyncssh.SFTPClient, path: str) -> str | None:
    """What a symbolic link holds; None if it can't be read."""
    try:
        return str(await sftp.readlink(path))
    except file_errors.REFUSED:
        return None


def _first(entries: list[FileInfo], limit: int) -> list[FileInfo]:
    return sorted(entries, key=lambda info: info.path)[:limit]
