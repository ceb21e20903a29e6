"""`search_files`."""

from typing import Annotated

from pydantic import BaseModel, Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files.matching import GLOB_CHARACTERS, Filter, Line, compiled, cut
from fairlead_sidecar.ssh.files.searching import Incomplete, Query
from fairlead_sidecar.tools.files.common import READS, Path, path_of, readable, relative
from fairlead_sidecar.tools.files.find import MAX_DEPTH
from fairlead_sidecar.tools.files.redacting import redacted
from fairlead_sidecar.tools.files.reporting import reporting, seconds
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool

LINE_CHARACTERS = 400
"""What is given of one line."""
MAX_MATCHES = 2000
MAX_FILE_BYTES = 16 * 1024 * 1024


class SearchArguments(Arguments):
    """Arguments of `search_files`."""

    path: Annotated[Path, Field(description="Directory or file.")]
    pattern: Annotated[str, Field(description="RE2, searched line by line.", min_length=1, max_length=4096)]
    literal: Annotated[bool, Field(description="The pattern is plain text.")] = False
    ignore_case: bool = False
    glob: Annotated[
        str | None, Field(description="Files to search, as for find_files.", max_length=GLOB_CHARACTERS)
    ] = None
    context: Annotated[int, Field(description="Lines around each match.", ge=0, le=20)] = 0
    limit: Annotated[int, Field(description="Matching lines.", ge=1, le=MAX_MATCHES)] = 100
    max_file_bytes: Annotated[int, Field(description="Larger files are skipped.", ge=1, le=MAX_FILE_BYTES)] = 2_097_152


class FileMatches(BaseModel):
    """What was found in one file."""

    name: str
    lines: Annotated[list[str], Field(description="`12:` matches, `13-` is context.")]


class SearchResult(Result):
    """Result of `search_files`."""

    path: Annotated[str, Field(description="Names are below it.")]
    files: list[FileMatches]
    matches: int
    searched: Annotated[int, Field(description="Files.")]
    skipped_binary: int
    skipped_large: int
    unreadable: int
    incomplete: Annotated[Incomplete | None, Field(description="What ended it early.")]


async def search_files(call: Call, arguments: SearchArguments) -> SearchResult:
    """Search the content of files."""
    query = Query(
        pattern=compiled(arguments.pattern, literal=arguments.literal, ignore_case=arguments.ignore_case),
        files=Filter(glob=arguments.glob),
        context=arguments.context,
        limit=arguments.limit,
        max_file_bytes=arguments.max_file_bytes,
        masked=lambda data: redacted(call.redactor, data)[0],
    )
    path = path_of(call, arguments.path)
    async with readable(call).searching(path, depth=MAX_DEPTH) as (search, top):
        found = search.found
        async with reporting(
            call, lambda: (found.searched, f"{found.searched} files searched, {found.matches} matches")
        ):
            await search.search(query, seconds=seconds(call))
    files = [(relative(name, top), [_line(line) for line in lines]) for name, lines in sorted(found.lines.items())]

    def build(most: int) -> SearchResult:
        kept: list[FileMatches] = []
        left = most
        for name, lines in files:
            fits = _fitting(lines, left)
            if fits:
                kept.append(FileMatches(name=name, lines=lines[:fits]))
            left -= sum(len(line) for line in lines)
        return SearchResult(
            host=call.host,
            path=shown(top),
            files=kept,
            matches=found.matches,
            searched=found.searched,
            skipped_binary=found.binary,
            skipped_large=found.large,
            unreadable=found.unreadable,
            incomplete="limit" if left < 0 else found.incomplete,
        )

    return fitting(build, max(1, sum(len(line) for _, lines in files for line in lines)))


def _fitting(lines: list[str], characters: int) -> int:
    """How many of the lines take no more than so many characters."""
    for count, line in enumerate(lines):
        characters -= len(line)
        if characters < 0:
            return count
    return len(lines)


def _line(line: Line) -> str:
    return f"{line.number}{':' if line.match else '-'}{cut(line.text.decode(errors='replace'), LINE_CHARACTERS)}"


TOOL = Tool(
    name="search_files",
    title="Search in files",
    description="Search the files below a directory for lines that match; binary files and links are skipped.",
    group=ToolGroup.FILES,
    permission=Permission.READ,
    annotations=READS,
    arguments=SearchArguments,
    result=SearchResult,
    run=search_files,
)
