"""File operations on the link's host: each within its deadline, each failure a sentence."""

import asyncio
import posixpath
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import asyncssh

from fairlead_sidecar.errors import CommandTimedOut, FairleadError, FileError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files import appending, deleting, making, moving, reading, searching, walking, writing
from fairlead_sidecar.ssh.files.guard import ANYWHERE, Guard
from fairlead_sidecar.ssh.files.leftovers import Leftovers
from fairlead_sidecar.ssh.files.matching import Filter
from fairlead_sidecar.ssh.files.model import FileContent, FileInfo, FileType, Listing, Written, file_info, file_type
from fairlead_sidecar.ssh.files.paths import as_far_as_it_goes, resolve, resolve_spot
from fairlead_sidecar.ssh.files.place import settled
from fairlead_sidecar.ssh.files.walking import Walk, read_link, scannable
from fairlead_sidecar.ssh.files.writing import ANYTHING, Expected
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.sftp import abandon

_STUCK_SECONDS = 2.0
_LEFTOVERS: WeakKeyDictionary[Link, Leftovers] = WeakKeyDictionary()


class RemoteFiles:
    """Files of one host.

    Paths are absolute or relative to the account's home; `~` and `~/…` mean the home too. Bytes that are no UTF-8 are
    surrogates in them. Every method raises `FileError` with a sentence, `FileChanged` where somebody else was faster,
    `PolicyDenied` as its guard does, `CommandTimedOut` past the deadline, or a `LinkError` where there is no
    connection.

    Args:
        link: The way to the host.
        guard: Judges where paths lead.
        timeout: Seconds for each operation; None: no deadline.
    """

    def __init__(self, link: Link, guard: Guard = ANYWHERE, *, timeout: float | None = None) -> None:
        self._link = link
        self._guard = guard
        self._timeout = timeout

    async def realpath(self, path: str) -> str:
        """The absolute path after all symbolic links and `..` were followed on the host.

        The last part need not exist: then this is where a new file would be created.
        """
        async with self._sftp(path) as sftp:
            return await resolve(sftp, path, self._guard)

    async def stat(self, path: str) -> tuple[FileInfo | None, str | None]:
        """What is at a path, a symbolic link itself, and where it leads in the end as far as that may be read.

        None for what does not exist.
        """
        async with self._sftp(path) as sftp:
            try:
                spot = await resolve_spot(sftp, path, self._guard)
                async with scannable(sftp, spot.directory, self._guard) as anchor:
                    name = posixpath.join(anchor, spot.name)
                    attributes = await sftp.lstat(name)
                    is_link = file_type(attributes) is FileType.SYMLINK
                    target = await read_link(sftp, name) if is_link else None
            except (file_errors.MissingDirectory, asyncssh.SFTPNoSuchFile):
                return None, None
            leads: str | None = spot.path
            if is_link:
                try:
                    leads = await resolve(sftp, spot.path)
                except (FileError, asyncssh.SFTPError):
                    leads = None
            readable = leads is not None and self._guard.allows(leads)
            return file_info(spot.path, attributes, target), leads if readable else None

    async def read_file(self, path: str, *, offset: int = 0, max_bytes: int) -> FileContent:
        """At most `max_bytes` from `offset` on."""
        async with self._sftp(path) as sftp:
            resolved = await resolve(sftp, path, self._guard)
            piece = await reading.read_range(sftp, resolved, self._guard, offset=offset, max_bytes=max_bytes)
        self._link.observer.on_bytes("received", len(piece.data))
        return piece

    async def read_lines(self, path: str, *, start: int, count: int, max_bytes: int) -> FileContent:
        """At most `count` lines from line `start` (1 is the first) on, and at most `max_bytes`."""
        async with self._sftp(path) as sftp:
            resolved = await resolve(sftp, path, self._guard)
            piece = await reading.read_lines(sftp, resolved, self._guard, start=start, count=count, max_bytes=max_bytes)
        self._link.observer.on_bytes("received", len(piece.data))
        return piece

    async def write_file(
        self,
        path: str,
        data: bytes,
        *,
        mode: int | None = None,
        append: bool = False,
        create_parents: bool = False,
        expected: Expected = ANYTHING,
    ) -> Written:
        """Create or replace a file in one step, or write at its end."""
        async with self._sftp(path) as sftp:
            resolved, made = await self._parents(sftp, path) if create_parents else (None, [])
            resolved = resolved or await resolve(sftp, path, self._guard)
            work = appending.append if append else writing.write
            try:
                written = await work(sftp, resolved, data, self._guard, self._leftovers(), mode=mode, expected=expected)
            except BaseException:
                await asyncio.shield(asyncio.ensure_future(making.remove_made(sftp, made)))
                raise
        self._link.observer.on_bytes("sent", len(data))
        return written

    async def edit_file(
        self, path: str, change: Callable[[bytes], bytes], *, expected: Expected = ANYTHING
    ) -> tuple[bytes, Written]:
        """Replace a file's content by what `change` makes of it; gives the old content too."""
        async with self._sftp(path) as sftp:
            resolved = await resolve(sftp, path, self._guard)
            old, written = await writing.edit(sftp, resolved, change, self._guard, self._leftovers(), expected=expected)
        self._link.observer.on_bytes("sent", written.size)
        return old, written

    async def list_directory(self, path: str, *, limit: int, depth: int = 1, hidden: bool = True) -> Listing:
        """The first `limit` entries of a directory, and of `depth` levels below, by path."""
        async with self._sftp(path) as sftp:
            resolved = await resolve(sftp, path, self._guard)
            return await walking.listing(sftp, resolved, self._guard, limit=limit, depth=depth, hidden=hidden)

    @asynccontextmanager
    async def searching(self, path: str, *, depth: int) -> AsyncIterator[tuple["Search", str]]:
        """A search below a path, and that path resolved."""
        async with self._sftp(path) as sftp:
            resolved = await resolve(sftp, path, self._guard)
            found = searching.Found(Walk(sftp, self._guard, depth))
            try:
                yield Search(sftp, resolved, self._guard, found), resolved
            finally:
                self._link.observer.on_bytes("received", found.bytes)

    async def move(self, source: str, target: str, *, overwrite: bool, reading: Guard = ANYWHERE) -> tuple[str, str]:
        """Give something another place; gives both places as they are.

        What may not be read, says `reading`, is not moved to where it could be.
        """
        async with self._sftp(source) as sftp:
            old = await resolve_spot(sftp, source, self._guard)
            new = await resolve_spot(sftp, target, self._guard)
            if reading.allows(new.path):
                reading.judge(old.path)
            await moving.move(sftp, old, new, self._guard, overwrite=overwrite)
            return old.path, new.path

    async def delete(self, path: str, *, recursive: bool) -> tuple[str, int]:
        """Delete something; gives its place, and how many entries went."""
        async with self._sftp(path) as sftp:
            spot = await resolve_spot(sftp, path, self._guard)
            return spot.path, await deleting.delete(sftp, spot, self._guard, recursive=recursive)

    async def make_directory(
        self, path: str, *, mode: int | None = None, parents: bool, exist_ok: bool
    ) -> tuple[str, bool, int]:
        """Make a directory; gives its place, whether it is new, and its mode."""
        async with self._sftp(path) as sftp:
            resolved = await self._place(sftp, path)
            made, mode_now = await making.make_directory(
                sftp, resolved, self._guard, mode=mode, parents=parents, exist_ok=exist_ok
            )
            return resolved, bool(made), mode_now

    async def _parents(self, sftp: asyncssh.SFTPClient, path: str) -> tuple[str, list[str]]:
        resolved = await self._place(sftp, path)
        made, _ = await making.make_directory(
            sftp, posixpath.dirname(resolved), self._guard, parents=True, exist_ok=True
        )
        return resolved, made

    async def _place(self, sftp: asyncssh.SFTPClient, path: str) -> str:
        """Where a path leads of which more than the last part may be missing."""
        try:
            return await resolve(sftp, path, self._guard)
        except file_errors.MissingDirectory:
            return await as_far_as_it_goes(sftp, path)

    def _leftovers(self) -> Leftovers:
        return _LEFTOVERS.setdefault(self._link, Leftovers())

    @asynccontextmanager
    async def _sftp(self, path: str) -> AsyncIterator[asyncssh.SFTPClient]:
        client: asyncssh.SFTPClient | None = None
        try:
            async with asyncio.timeout(self._timeout) as deadline, self._link.sftp() as client:
                yield client
        except TimeoutError as error:
            if not deadline.expired():
                raise file_errors.from_sftp(path, error) from error
            if client is not None:
                await settled(_end_if_stuck(client))
            raise CommandTimedOut(
                f"The host did not finish with {shown(path)} within {self._timeout:g} s.",
                hint="Look at the host's load and file systems; ask for less at once.",
            ) from None
        except FairleadError:
            raise
        except (asyncssh.Error, OSError) as error:
            raise file_errors.from_sftp(path, error) from error


async def _end_if_stuck(client: asyncssh.SFTPClient) -> None:
    """End a session whose server answers nothing any more, so that the next call opens another one."""
    try:
        async with asyncio.timeout(_STUCK_SECONDS):
            await client.realpath(".")
    except (TimeoutError, asyncssh.Error, OSError):
        abandon(client)


class Search:
    """A search below one path that is under way."""

    def __init__(self, sftp: asyncssh.SFTPClient, top: str, guard: Guard, found: searching.Found) -> None:
        self._sftp = sftp
        self._top = top
        self._guard = guard
        self.found = found
        """Kept up to date."""

    async def find(self, wanted: Filter, *, limit: int, seconds: float) -> None:
        """Find entries."""
        await searching.find(self.found, self._top, wanted, limit=limit, seconds=seconds)

    async def search(self, query: searching.Query, *, seconds: float) -> None:
        """Search in files: below the path, or in the file at it."""
        info = file_info(self._top, await self._sftp.lstat(self._top))
        if info.type is FileType.DIRECTORY:
            await searching.search(self.found, self._top, query, self._guard, seconds=seconds)
        else:
            await searching.search_one(self.found, info, query, self._guard, seconds=seconds)
