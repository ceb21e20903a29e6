"""Finding entries and searching files below a directory, over SFTP alone."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncssh

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.matching import Filter, Line, Pattern, is_binary, matching_lines
from fairlead_sidecar.ssh.files.model import FileInfo, FileType
from fairlead_sidecar.ssh.files.place import opened
from fairlead_sidecar.ssh.files.reading import read
from fairlead_sidecar.ssh.files.together import together
from fairlead_sidecar.ssh.files.walking import Walk

_AT_ONCE = 8
"""Files that are read at the same time."""

Incomplete = Literal["limit", "time", "entries"]
"""Why a search ended early: enough was found, its time was over, or too many entries had to be looked at."""


@dataclass
class Found:
    """What a search has found so far."""

    walk: Walk
    entries: list[FileInfo] = field(default_factory=list)
    """Entries that were looked for."""
    lines: dict[str, list[Line]] = field(default_factory=dict)
    """Lines that match, and those around them, by file."""
    matches: int = 0
    searched: int = 0
    """Files that were read."""
    bytes: int = 0
    """What was read."""
    binary: int = 0
    large: int = 0
    unreadable: int = 0
    incomplete: Incomplete | None = None


async def find(found: Found, top: str, wanted: Filter, *, limit: int, seconds: float) -> None:
    """Find entries below a resolved directory; `found` is kept up to date."""

    async def visit(info: FileInfo) -> bool:
        if found.incomplete is None and wanted.takes(info, top):
            if len(found.entries) == limit:
                found.incomplete = "limit"
            else:
                found.entries.append(info)
        return found.incomplete is None

    await _bounded(found, seconds, found.walk.run(top, visit))
    found.entries.sort(key=lambda info: info.path)


def _as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for in files."""

    pattern: Pattern
    files: Filter
    context: int
    limit: int
    """Matching lines, at most."""
    max_file_bytes: int
    """Larger files are left out."""
    masked: Callable[[bytes], bytes] = _as_it_is
    """Makes of a file's content what may be searched; the lines stay the same in number."""


async def search(found: Found, top: str, query: Query, guard: Guard, *, seconds: float) -> None:
    """Search the files below a resolved directory, or one file; `found` is kept up to date."""
    queue: asyncio.Queue[FileInfo | None] = asyncio.Queue(_AT_ONCE * 4)

    async def visit(info: FileInfo) -> bool:
        # What has no size is empty, or generated when it is read, some of it without an end.
        if info.type is FileType.FILE and info.size and query.files.takes(info, top):
            await queue.put(info)
        return found.incomplete is None

    async def produce() -> None:
        await found.walk.run(top, visit)
        for _ in range(_AT_ONCE):
            await queue.put(None)

    async def consume() -> None:
        while (info := await queue.get()) is not None:
            if found.incomplete is None:
                await _search_file(found, info, query, guard)

    await _bounded(found, seconds, together(produce(), *(consume() for _ in range(_AT_ONCE))))


async def search_one(found: Found, info: FileInfo, query: Query, guard: Guard, *, seconds: float) -> None:
    """Search one file."""
    await _bounded(found, seconds, _search_file(found, info, query, guard))


async def _search_file(found: Found, info: FileInfo, query: Query, guard: Guard) -> None:
    if info.size > query.max_file_bytes:
        found.large += 1
        return
    try:
        async with opened(found.walk.sftp, info.path, guard) as file:
            data = await read(file, 0, query.max_file_bytes + 1)
    except file_errors.LOST:
        raise
    except (asyncssh.SFTPError, FairleadError):
        found.unreadable += 1
        return
    found.bytes += len(data)
    if len(data) > query.max_file_bytes:
        found.large += 1
    elif is_binary(data):
        found.binary += 1
    else:
        found.searched += 1
        # In a thread: a large file's lines would hold up everything else.
        lines = await asyncio.to_thread(_lines, data, query)
        _take(found, info.path, lines, query.limit)


def _lines(data: bytes, query: Query) -> list[Line]:
    return matching_lines(query.masked(data), query.pattern, context=query.context, most=query.limit + 1)


def _take(found: Found, path: str, lines: list[Line], limit: int) -> None:
    taken: list[Line] = []
    for line in lines:
        if line.match:
            if found.matches == limit:
                found.incomplete = "limit"
                break
            found.matches += 1
        taken.append(line)
    if any(line.match for line in taken):
        found.lines[path] = taken


async def _bounded(found: Found, seconds: float, work: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(seconds) as deadline:
            await work
    except TimeoutError:
        if not deadline.expired():
            raise
        found.incomplete = "time"
    if found.walk.cut:
        found.incomplete = "entries"
    found.unreadable += found.walk.unreadable
