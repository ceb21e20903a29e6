"""Opening what was judged, whatever happens to its path meanwhile.

Between the moment a path is resolved and the moment it is used, somebody on the host can put a symbolic link in its
way, and SFTP has neither openat(2) nor O_NOFOLLOW. But the server tells where its open files really are: the links in
its own /proc/self/fd. One batch of requests, which the server works off one by one, reads them, opens, and reads them
again; the one that is new is ours. So a file is read only if it is where the policy said yes, and a directory that was
opened and found in its place has a name, /proc/self/fd/<n>, that goes on to mean this very directory: changes are made
through it.

A server without that /proc (another system than Linux, a chroot without it) is asked several times, before and after
opening, where the path leads; who swaps links at exactly the right moments could get past that.
"""

import asyncio
import posixpath
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncssh

from fairlead_sidecar.errors import FileChanged, FileError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.model import FileType, file_type, same_state
from fairlead_sidecar.ssh.files.paths import resolve

_FIRST_LOOK = 8
"""File descriptors that are looked at; more where so many are open."""
_MOST = 1024
_SELF = (".", "..")
_LOOKS = 4
"""How often a server without /proc is asked where a path leads."""

_Entries = AsyncGenerator[asyncssh.SFTPName, None]
_Listed = tuple[_Entries, asyncssh.SFTPName]
"""A directory that is open behind its first entry."""
_T = TypeVar("_T")


@asynccontextmanager
async def anchored(sftp: asyncssh.SFTPClient, directory: str) -> AsyncIterator[str]:
    """A name for a resolved directory, to be used as the beginning of paths, that means it and no other.

    Raises:
        FileChanged: The path leads elsewhere by now.
        FileError: It is no directory.
    """
    entries, fd, location = await _opened(sftp, lambda: _begin(sftp, directory), _end)
    try:
        if fd is None:
            if await _leads(sftp, directory) != directory:
                raise moved(directory)
            yield directory
        elif location != directory:
            raise moved(directory)
        else:
            yield f"/proc/self/fd/{fd}"
    finally:
        await settled(_end(entries))


@asynccontextmanager
async def opened(
    sftp: asyncssh.SFTPClient, path: str, guard: Guard, *, via: str | None = None, mode: int = asyncssh.FXF_READ
) -> AsyncIterator[asyncssh.SFTPClientFile]:
    """A regular file that exists, open, at its resolved path and nowhere else.

    Args:
        path: Resolved and judged.
        guard: Where everything is allowed, it does not matter where the file is.
        via: Another name for the same, in an anchored directory.
        mode: FXF_* flags; none that create.

    Raises:
        FileChanged: The path leads elsewhere by now.
        FileError: It is no regular file.
    """
    name = via or path
    # Before it is opened: opening a named pipe would block the whole SFTP session.
    require_regular(path, await sftp.lstat(name))

    async def begin() -> asyncssh.SFTPClientFile:
        return await sftp.open(name, mode, encoding=None, max_requests=16)

    if guard.everything:
        async with handle(begin) as file:
            yield file
        return
    file, fd, location = await _opened(sftp, begin, _close)
    try:
        if location != path if fd is not None else not await _stays(sftp, file, path):
            raise moved(path)
        yield file
    finally:
        await settled(_close(file))


def moved(path: str) -> FileChanged:
    """Something took the place of what was resolved."""
    return FileChanged(
        f"{shown(path)} was moved or replaced by a symbolic link just now; nothing was done.",
        hint="Look at the directory, then retry.",
    )


def require_regular(path: str, attributes: asyncssh.SFTPAttrs) -> None:
    """Only regular files are read and replaced.

    Raises:
        FileError: It is something else.
    """
    kind = file_type(attributes)
    if kind is FileType.SYMLINK:
        raise moved(path)
    if kind is FileType.DIRECTORY:
        raise FileError(f"{shown(path)} is a directory.", hint="Name a file in it.")
    if kind is not FileType.FILE:
        raise FileError(
            f"{shown(path)} is no regular file, but a device, socket or named pipe.",
            hint="Name a regular file.",
        )


async def settled(work: Coroutine[Any, Any, None]) -> None:
    """Do `work` to its end, as a task of its own: also while this one is being cancelled."""
    await asyncio.shield(asyncio.get_running_loop().create_task(work))


@asynccontextmanager
async def entries_of(sftp: asyncssh.SFTPClient, directory: str) -> AsyncIterator[AsyncIterator[asyncssh.SFTPName]]:
    """The entries of a directory without `.` and `..`; a caller that is cancelled leaves no open handle behind."""
    listed = await _kept(asyncio.get_running_loop().create_task(_begin(sftp, directory)), _end, ())

    async def entries() -> AsyncIterator[asyncssh.SFTPName]:
        following, first = listed
        if first.filename not in _SELF:
            yield first
        async for name in following:
            if name.filename not in _SELF:
                yield name

    try:
        yield entries()
    finally:
        await settled(_end(listed))


@asynccontextmanager
async def handle(
    begin: Callable[[], Coroutine[Any, Any, asyncssh.SFTPClientFile]],
) -> AsyncIterator[asyncssh.SFTPClientFile]:
    """What `begin` opens; a caller that is cancelled leaves no open handle behind."""
    file = await _kept(asyncio.get_running_loop().create_task(begin()), _close, ())
    try:
        yield file
    finally:
        await settled(_close(file))


async def _kept(
    task: asyncio.Task[_T],
    close: Callable[[_T], Coroutine[Any, Any, None]],
    others: tuple[asyncio.Task[Any], ...],
) -> _T:
    try:
        await asyncio.wait({task, *others})
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: _close_late(done, close))
        raise
    return task.result()


def _close_late(task: asyncio.Task[_T], close: Callable[[_T], Coroutine[Any, Any, None]]) -> None:
    if task.cancelled() or task.exception() is not None:
        return
    closing = asyncio.get_running_loop().create_task(close(task.result()))
    _late.add(closing)
    closing.add_done_callback(_late.discard)


_late: set[asyncio.Task[None]] = set()


async def _opened(
    sftp: asyncssh.SFTPClient,
    begin: Callable[[], Coroutine[Any, Any, _T]],
    close: Callable[[_T], Coroutine[Any, Any, None]],
) -> tuple[_T, int | None, str | None]:
    """Open something; the server's file descriptor for it and the path it is at (None, None: it does not tell)."""
    count = _FIRST_LOOK
    spawn = asyncio.get_running_loop().create_task
    while True:
        # Each task sends its request in its first step, and these steps follow each other with nothing in between.
        before = [spawn(_target(sftp, fd)) for fd in range(count)]
        opening = spawn(begin())
        after = [spawn(_target(sftp, fd)) for fd in range(count)]
        thing = await _kept(opening, close, (*before, *after))
        was, now = [task.result() for task in before], [task.result() for task in after]
        new = [fd for fd in range(count) if now[fd] != was[fd]]
        if len(new) == 1:
            return thing, new[0], now[new[0]]
        if not any(now):
            return thing, None, None
        await settled(close(thing))
        if new or None in was or count >= _MOST:
            raise FileError(
                "The host's SFTP server does not say where an open file is; nothing was done.",
                hint="A path longer than 4095 bytes may be the reason.",
            )
        count *= 4


async def _target(sftp: asyncssh.SFTPClient, fd: int) -> str | None:
    try:
        return str(await sftp.readlink(f"/proc/self/fd/{fd}"))
    except (asyncssh.Error, OSError):
        return None


async def _begin(sftp: asyncssh.SFTPClient, directory: str) -> _Listed:
    entries: _Entries = sftp.scandir(directory)  # type: ignore[assignment]  # a generator, declared as an iterator
    # Every directory has at least an entry for itself, so the handle stays open behind this first one.
    try:
        return entries, await anext(entries)
    except StopAsyncIteration:
        raise FileError(f"{shown(directory)} lists nothing, not even itself.") from None
    except (asyncssh.SFTPFailure, asyncssh.SFTPNoSuchFile) as error:
        raise await not_listed(sftp, directory, error) from error


async def not_listed(sftp: asyncssh.SFTPClient, path: str, error: asyncssh.SFTPError) -> Exception:
    """Why something could not be listed; which of two errors "not a directory" is depends on the server's version."""
    with suppress(asyncssh.SFTPError):
        if file_type(await sftp.stat(path)) is not FileType.DIRECTORY:
            return file_errors.no_directory(path)
    return error


async def _end(listed: _Listed) -> None:
    with suppress(asyncssh.Error, OSError):
        await listed[0].aclose()


async def _close(file: asyncssh.SFTPClientFile) -> None:
    with suppress(asyncssh.Error, OSError):
        await file.close()


async def _leads(sftp: asyncssh.SFTPClient, path: str) -> str | None:
    try:
        return await resolve(sftp, path)
    except (FileError, asyncssh.SFTPError):
        return None


async def _stays(sftp: asyncssh.SFTPClient, file: asyncssh.SFTPClientFile, path: str) -> bool:
    """Whether the open file is the one at `path`, as far as attributes tell, and no link leads there; asked often."""
    for _ in range(_LOOKS):
        requests: list[Awaitable[Any]] = [file.stat(), sftp.lstat(path), sftp.realpath(path), file.stat()]
        first, there, leads, last = await asyncio.gather(*requests)
        # A file that grows just now is still the same file.
        grows = (first.size or 0) <= (there.size or 0) <= (last.size or 0) and first.uid == there.uid
        if posixpath.normpath(leads) != path or not (same_state(first, there) or grows):
            return False
    return True
