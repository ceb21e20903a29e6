"""Reading files: ranges, lines, whole ones."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import asyncssh

from fairlead_sidecar.errors import FileError
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.model import FileContent, same_state
from fairlead_sidecar.ssh.files.place import opened

HASHED_BYTES = 1024 * 1024
"""Files up to this size are read whole, so that their hash can be told with a piece of them."""
BLOCK = 256 * 1024


async def read_range(
    sftp: asyncssh.SFTPClient, path: str, guard: Guard, *, offset: int = 0, max_bytes: int
) -> FileContent:
    """At most `max_bytes` from `offset` on of the file at a resolved path."""
    async with opened(sftp, path, guard) as file:
        size, whole, digest = await _whole(file)
        data = whole[offset : offset + max_bytes] if whole is not None else await read(file, offset, max_bytes)
    end = offset + len(data)
    return FileContent(path, data, offset, size, eof=len(data) < max_bytes or 0 < size <= end, sha256=digest)


async def read_lines(
    sftp: asyncssh.SFTPClient, path: str, guard: Guard, *, start: int, count: int, max_bytes: int
) -> FileContent:
    """At most `count` lines, and `max_bytes`, from line `start` on; a file of any size takes little memory.

    A line ends with a line feed. Bytes beyond `max_bytes` are cut off, in the middle of a line where one is that long.
    """
    async with opened(sftp, path, guard) as file:
        size, _, digest = await _whole(file)
        line, offset = 1, 0
        data, eof = b"", False
        async for block in _blocks(file):
            if line < start:
                skipped, feeds = _skip(block, start - line)
                line, offset, block = line + feeds, offset + skipped, block[skipped:]  # noqa: PLW2901 - what is left of it
            if line == start:
                data += block
                if data.count(b"\n") >= count or len(data) > max_bytes:
                    break
        else:
            eof = True
    kept, _ = _skip(data, count)
    cut = data[: min(kept, max_bytes)]
    return FileContent(path, cut, offset, size, eof=eof and len(cut) == len(data), sha256=digest, line=line)


async def read_whole(
    sftp: asyncssh.SFTPClient, path: str, guard: Guard, *, limit: int, via: str | None = None
) -> tuple[bytes, asyncssh.SFTPAttrs]:
    """A whole file and what the host says of it.

    Raises:
        FileError: It has more than `limit` bytes.
    """
    async with opened(sftp, path, guard, via=via) as file:
        attributes = await file.stat()
        data = await read(file, 0, limit + 1)
    if len(data) > limit:
        raise FileError(
            f"{shown(path)} has more than {limit} bytes.", hint="Change such a file with a command on the host."
        )
    return data, attributes


async def digest_of(sftp: asyncssh.SFTPClient, path: str, guard: Guard, *, via: str | None = None) -> str:
    """Hex SHA-256 of a whole file of any size."""
    digest = hashlib.sha256()
    async with opened(sftp, path, guard, via=via) as file:
        async for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()


async def read(file: asyncssh.SFTPClientFile, offset: int, count: int) -> bytes:
    """At most `count` bytes of an open file; fewer only at its end."""
    # Shielded: asyncssh leaves the errors of requests that are cut off for the log.
    reading = asyncio.get_running_loop().create_task(file.read(count, offset))
    reading.add_done_callback(lambda done: done.cancelled() or done.exception())
    data = await asyncio.shield(reading)
    assert isinstance(data, bytes)  # noqa: S101 - tells mypy what `encoding=None` means
    return data


async def _blocks(file: asyncssh.SFTPClientFile) -> AsyncIterator[bytes]:
    offset = 0
    # Ahead by some requests: a round trip for every block would be slow on a far host.
    while block := await read(file, offset, 8 * BLOCK):
        yield block
        offset += len(block)


async def _whole(file: asyncssh.SFTPClientFile) -> tuple[int, bytes | None, str | None]:
    """Size; content and hash if the file is small and stands still."""
    before = await file.stat()
    size = before.size or 0
    if size > HASHED_BYTES:
        return size, None, None
    data = await read(file, 0, size + 1)
    after = await file.stat()
    # Generated files have a size of 0 whatever is in them: these are read as they come.
    if len(data) != size or not same_state(before, after):
        return after.size or 0, None, None
    return size, data, hashlib.sha256(data).hexdigest()


def _skip(data: bytes, lines: int) -> tuple[int, int]:
    """Bytes that `lines` lines take at the beginning, and how many of them ended; all where there are fewer."""
    position = 0
    for ended in range(lines):
        found = data.find(b"\n", position)
        if found < 0:
            return len(data), ended
        position = found + 1
    return position, lines
