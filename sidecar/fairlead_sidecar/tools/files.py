"""Files on the host, over SFTP."""

import base64
import binascii
import posixpath
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import mcp_types as types
from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.errors import FileError, InvalidRequest
from fairlead_sidecar.ssh.files import FileContent, FileInfo, FileType, RemoteFiles
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool
from fairlead_sidecar.tools.text import Encoding, as_content, whole_characters

READ_BYTES = 64 * 1024
"""What `read_file` gives when it is not asked for a number of bytes."""
ENTRIES = 1000
"""What `list_directory` gives when it is not asked for a number of entries."""
MAX_ENTRIES = 10_000

Path = Annotated[
    str,
    Field(
        description="Path on the host: absolute, or relative to the account's home (`~/` is the home as well).",
        min_length=1,
        max_length=4096,
    ),
]


class ReadArguments(Arguments):
    """Arguments of `read_file`."""

    path: Path
    offset: Annotated[int, Field(description="Byte to start at.", ge=0)] = 0
    max_bytes: Annotated[
        int | None,
        Field(description=f"Most bytes to return; {READ_BYTES} when left out, up to the host's limit.", ge=1),
    ] = None


class ReadResult(Result):
    """Result of `read_file`."""

    path: Annotated[str, Field(description="The file's own path, symbolic links followed.")]
    content: str
    encoding: Annotated[Encoding, Field(description="utf-8: the text itself. base64: bytes that are no UTF-8 text.")]
    offset: int
    bytes: Annotated[int, Field(description="Bytes of the file that `content` stands for.")]
    size: Annotated[int, Field(description="Bytes of the whole file (0 for generated files such as those in /proc).")]
    next_offset: Annotated[int | None, Field(description="Where to read on; null at the end of the file.")]


class WriteArguments(Arguments):
    """Arguments of `write_file`."""

    path: Path
    content: Annotated[str, Field(description="The whole new content.")]
    encoding: Annotated[
        Literal["utf-8", "base64"], Field(description="base64 for bytes that are no UTF-8 text (RFC 4648).")
    ] = "utf-8"
    mode: Annotated[
        str | None,
        Field(
            description="Permission bits in octal, such as 0644; left out, an existing file keeps its own.",
            pattern=r"^0?[0-7]{3}$",
        ),
    ] = None


class WriteResult(Result):
    """Result of `write_file`."""

    path: Annotated[str, Field(description="The file's own path, symbolic links followed.")]
    bytes: int
    mode: Annotated[str, Field(description="Permission bits in octal.")]


class ListArguments(Arguments):
    """Arguments of `list_directory`."""

    path: Path
    limit: Annotated[int, Field(description="Most entries to return.", ge=1, le=MAX_ENTRIES)] = ENTRIES


class Entry(Arguments):
    """One entry of a directory."""

    name: str
    type: FileType
    size: Annotated[int, Field(description="Bytes.")]
    mode: Annotated[str, Field(description="Permission bits in octal.")]
    modified: datetime


class ListResult(Result):
    """Result of `list_directory`."""

    path: Annotated[str, Field(description="The directory's own path, symbolic links followed.")]
    entries: Annotated[list[Entry], Field(description="By name; symbolic links are shown as such.")]
    truncated: Annotated[bool, Field(description="Whether there are more entries than these.")]


async def read_file(call: Call, arguments: ReadArguments) -> ReadResult:
    """Read a piece of a file."""
    files = RemoteFiles(call.link)
    resolved = await _resolve(call, files, arguments.path, call.policy.check_read)
    limit = min(arguments.max_bytes or READ_BYTES, call.limits.output_bytes)
    piece = await files.read_file(resolved, offset=arguments.offset, max_bytes=limit)
    result = fitting(lambda most: _piece(call.host, resolved, piece, most), max(len(piece.data), 1))
    call.facts["bytes"] = result.bytes
    return result


def _piece(host: str, path: str, piece: FileContent, most: int) -> ReadResult:
    data = piece.data[:most]
    eof = piece.eof and len(data) == len(piece.data)
    whole = whole_characters(data)
    # A character that the piece's end cuts in two goes to the next piece. A piece too small for one character, or
    # a file that ends in the middle of one, is given as it is.
    if not eof and 0 < whole < len(data):
        data = data[:whole]
    content, encoding = as_content(data)
    return ReadResult(
        host=host,
        path=path,
        content=content,
        encoding=encoding,
        offset=piece.offset,
        bytes=len(data),
        size=piece.size,
        next_offset=None if eof else piece.offset + len(data),
    )


async def write_file(call: Call, arguments: WriteArguments) -> WriteResult:
    """Create or replace a file in one step."""
    data = _decoded(arguments)
    files = RemoteFiles(call.link)
    call.facts["bytes"] = len(data)
    resolved = await _resolve(call, files, arguments.path, call.policy.check_write)
    mode = None if arguments.mode is None else int(arguments.mode, 8)
    written = await files.write_file(resolved, data, mode=mode, follow=False)
    return WriteResult(host=call.host, path=written.path, bytes=len(data), mode=_octal(written.mode))


async def list_directory(call: Call, arguments: ListArguments) -> ListResult:
    """List a directory."""
    files = RemoteFiles(call.link)
    resolved = await _resolve(call, files, arguments.path, call.policy.check_read)
    listing = await files.list_directory(resolved, limit=arguments.limit)
    entries = [_entry(info) for info in listing.entries]
    return fitting(
        lambda most: ListResult(
            host=call.host,
            path=resolved,
            entries=entries[:most],
            truncated=listing.truncated or most < len(entries),
        ),
        max(len(entries), 1),
    )


async def _resolve(call: Call, files: RemoteFiles, path: str, check: Callable[[str], None]) -> str:
    """The path after the host followed all links: what policy judges with `check`, and what is then used."""
    call.facts["path"] = path
    if "\0" in path:
        raise InvalidRequest("The path contains a NUL character, which no path can hold.")
    try:
        resolved = await files.realpath(path)
    except FileError:
        # Whether something is missing or forbidden there is for those to know who may look.
        check(await _as_far_as_it_goes(files, path))
        raise
    call.facts["path"] = resolved
    check(resolved)
    return resolved


async def _as_far_as_it_goes(files: RemoteFiles, path: str) -> str:
    """Where a path leads that the host can't resolve as a whole: its longest beginning that it can, and the rest."""
    parts = path.split("/")
    for count in range(len(parts) - 1, 0, -1):
        try:
            beginning = await files.realpath("/".join(parts[:count]) or "/")
        except FileError:
            continue
        return posixpath.normpath(posixpath.join(beginning, *parts[count:]))
    return posixpath.normpath(posixpath.join(await files.realpath("~"), path))


def _decoded(arguments: WriteArguments) -> bytes:
    if arguments.encoding == "utf-8":
        return arguments.content.encode()
    try:
        return base64.b64decode(arguments.content, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"content is not base64: {error}."
        raise InvalidRequest(
            msg, hint="Encode the bytes as standard base64, or give text with encoding utf-8."
        ) from error


def _entry(info: FileInfo) -> Entry:
    return Entry(
        name=_printable(info.path.rpartition("/")[2]),
        type=info.type,
        size=info.size,
        mode=_octal(info.mode),
        modified=info.modified,
    )


def _printable(name: str) -> str:
    # A file name on the host may be any bytes; JSON text may not.
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _octal(mode: int) -> str:
    return f"{mode:04o}"


TOOLS = (
    Tool(
        name="read_file",
        title="Read a file",
        description=(
            "Read a file on the host, in pieces where it is large: pass `next_offset` as `offset` to read on. "
            "Text comes as it is, other bytes as base64. The content is exact, so it can be changed and written back."
        ),
        group=ToolGroup.FILES,
        permission=Permission.READ,
        annotations=types.ToolAnnotations(
            title="Read a file",
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
        arguments=ReadArguments,
        result=ReadResult,
        run=read_file,
    ),
    Tool(
        name="list_directory",
        title="List a directory",
        description="List a directory on the host by name, with type, size, permissions and time of each entry.",
        group=ToolGroup.FILES,
        permission=Permission.READ,
        annotations=types.ToolAnnotations(
            title="List a directory",
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
        arguments=ListArguments,
        result=ListResult,
        run=list_directory,
    ),
    Tool(
        name="write_file",
        title="Write a file",
        description=(
            "Create a file on the host or replace its whole content, in one step: readers see the old content or the "
            "new one, never a mixture. The directory must exist. To change a part, read the file first."
        ),
        group=ToolGroup.FILES,
        permission=Permission.WRITE,
        annotations=types.ToolAnnotations(
            title="Write a file",
            read_only_hint=False,
            destructive_hint=True,
            idempotent_hint=True,
            open_world_hint=False,
        ),
        arguments=WriteArguments,
        result=WriteResult,
        run=write_file,
    ),
)
