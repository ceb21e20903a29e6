"""`read_file`."""

from typing import Annotated

from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files import FileContent
from fairlead_sidecar.tools.files.common import READS, Path, Sha256, path_of, readable
from fairlead_sidecar.tools.files.redacting import redacted
from fairlead_sidecar.tools.size import MESSAGE_BYTES, fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool
from fairlead_sidecar.tools.text import Encoding, as_content, whole_characters

READ_BYTES = 64 * 1024
"""What is given when no number of bytes is asked for."""
READ_LINES = 2000


class ReadArguments(Arguments):
    """Arguments of `read_file`."""

    path: Path
    offset: Annotated[int, Field(description="Byte to start at.", ge=0)] = 0
    start_line: Annotated[int | None, Field(description="Line to start at, from 1, instead of offset.", ge=1)] = None
    max_lines: Annotated[int | None, Field(ge=1)] = None
    max_bytes: Annotated[int | None, Field(description=f"Default {READ_BYTES}.", ge=1)] = None


class ReadResult(Result):
    """Result of `read_file`."""

    path: Annotated[str, Field(description="Links followed.")]
    content: str
    encoding: Annotated[Encoding, Field(description="base64: bytes that are no UTF-8.")]
    offset: int
    bytes: Annotated[int, Field(description="Of the file, that content stands for.")]
    size: Annotated[int, Field(description="Of the file; 0 for generated ones.")]
    next_offset: Annotated[int | None, Field(description="To read on; null at the end.")]
    start_line: int | None
    next_line: Annotated[int | None, Field(description="To read on by lines.")]
    redacted: Annotated[bool, Field(description="Secrets were masked: don't write it back.")]
    sha256: Annotated[Sha256, Field(description="Of the whole file; null if large or changing.")]


async def read_file(call: Call, arguments: ReadArguments) -> ReadResult:
    """Read a piece of a file."""
    by_line = arguments.start_line is not None or arguments.max_lines is not None
    if by_line and arguments.offset:
        raise InvalidRequest("offset and lines can't be combined.", hint="Give either offset, or start_line.")
    path, files = path_of(call, arguments.path), readable(call)
    # In a message all of it stands twice: what can't fit is not read, or the memory of several such calls runs out.
    limit = min(arguments.max_bytes or READ_BYTES, call.limits.output_bytes, MESSAGE_BYTES // 2)
    if by_line:
        piece = await files.read_lines(
            path, start=arguments.start_line or 1, count=arguments.max_lines or READ_LINES, max_bytes=limit
        )
    else:
        piece = await files.read_file(path, offset=arguments.offset, max_bytes=limit)
    before = after = b""
    if call.redactor:
        reach, end = min(call.redactor.longest, piece.offset), piece.offset + len(piece.data)
        before = (await files.read_file(path, offset=piece.offset - reach, max_bytes=reach)).data if reach else b""
        after = (await files.read_file(path, offset=end, max_bytes=call.redactor.longest)).data

    def build(most: int) -> ReadResult:
        data = _cut(piece, most)
        masked = redacted(call.redactor, data, before=before, after=piece.data[len(data) :] + after)
        return _result(call.host, piece, data, *masked)

    result = fitting(build, max(len(piece.data), 1))
    call.facts["bytes"] = result.bytes
    return result


def _result(host: str, piece: FileContent, data: bytes, masked: bytes, was_masked: bool) -> ReadResult:
    eof = piece.eof and len(data) == len(piece.data)
    content, encoding = as_content(masked)
    next_line = None
    if piece.line is not None and not eof and (not data or data.endswith(b"\n")):
        next_line = piece.line + data.count(b"\n")
    return ReadResult(
        host=host,
        path=shown(piece.path),
        content=content,
        encoding=encoding,
        offset=piece.offset,
        bytes=len(data),
        size=piece.size,
        next_offset=None if eof else piece.offset + len(data),
        start_line=piece.line,
        next_line=next_line,
        redacted=was_masked,
        sha256=piece.sha256,
    )


def _cut(piece: FileContent, most: int) -> bytes:
    """At most so many bytes of a piece, so that it ends between lines or characters where it can."""
    data = piece.data[:most]
    if piece.eof and len(data) == len(piece.data):
        return data
    whole = data.rfind(b"\n") + 1 if piece.line is not None else 0
    # A line or character that the piece's end cuts in two goes to the next piece. A piece too small for one character,
    # or a file that ends in the middle of one, is given as it is.
    return data[: whole or whole_characters(data) or len(data)]


TOOL = Tool(
    name="read_file",
    title="Read a file",
    description=(
        "Read a file, in pieces where it is large: pass next_offset (or next_line) on. Content is exact; "
        "in names, \\x{ff} stands for a byte that is no UTF-8, in paths given back too."
    ),
    group=ToolGroup.FILES,
    permission=Permission.READ,
    annotations=READS,
    arguments=ReadArguments,
    result=ReadResult,
    run=read_file,
)
