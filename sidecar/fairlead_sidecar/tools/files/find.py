"""`find_files`."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files import FileInfo, FileType
from fairlead_sidecar.ssh.files.matching import GLOB_CHARACTERS, Filter
from fairlead_sidecar.ssh.files.searching import Incomplete
from fairlead_sidecar.tools.files.common import READS, Path, path_of, readable, relative
from fairlead_sidecar.tools.files.reporting import reporting, seconds
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool

MAX_FOUND = 5000
MAX_DEPTH = 100


class FindArguments(Arguments):
    """Arguments of `find_files`."""

    path: Path
    glob: Annotated[
        str | None,
        Field(
            description="Of the name, such as *.log; with a / of the path below, ** for any depth.",
            max_length=GLOB_CHARACTERS,
        ),
    ] = None
    type: FileType | None = None
    min_size: Annotated[int | None, Field(ge=0)] = None
    max_size: Annotated[int | None, Field(ge=0)] = None
    modified_after: Annotated[AwareDatetime | None, Field(description="With time zone.")] = None
    modified_before: AwareDatetime | None = None
    max_depth: Annotated[int, Field(ge=1, le=MAX_DEPTH)] = MAX_DEPTH
    limit: Annotated[int, Field(ge=1, le=MAX_FOUND)] = 500


class FoundEntry(BaseModel):
    """One entry that was looked for."""

    name: str
    type: FileType
    size: int
    modified: datetime


class FindResult(Result):
    """Result of `find_files`."""

    path: Annotated[str, Field(description="Names are below it.")]
    entries: list[FoundEntry]
    scanned: int
    unreadable: Annotated[int, Field(description="Directories left out.")]
    incomplete: Annotated[Incomplete | None, Field(description="What ended it early.")]


async def find_files(call: Call, arguments: FindArguments) -> FindResult:
    """Find entries below a directory."""
    wanted = Filter(
        glob=arguments.glob,
        type=arguments.type,
        min_size=arguments.min_size,
        max_size=arguments.max_size,
        modified_after=arguments.modified_after,
        modified_before=arguments.modified_before,
    )
    path = path_of(call, arguments.path)
    async with readable(call).searching(path, depth=arguments.max_depth) as (search, top):
        found = search.found
        async with reporting(call, lambda: (found.walk.scanned, f"{found.walk.scanned} entries looked at")):
            await search.find(wanted, limit=arguments.limit, seconds=seconds(call))
    entries = [_entry(info, top) for info in found.entries]
    return fitting(
        lambda most: FindResult(
            host=call.host,
            path=shown(top),
            entries=entries[:most],
            scanned=found.walk.scanned,
            unreadable=found.unreadable,
            incomplete="limit" if most < len(entries) else found.incomplete,
        ),
        max(len(entries), 1),
        least=1,
    )


def _entry(info: FileInfo, top: str) -> FoundEntry:
    return FoundEntry(name=relative(info.path, top), type=info.type, size=info.size, modified=info.modified)


TOOL = Tool(
    name="find_files",
    title="Find files",
    description="Find files and directories below a directory by glob, type, size and time; links are not followed.",
    group=ToolGroup.FILES,
    permission=Permission.READ,
    annotations=READS,
    arguments=FindArguments,
    result=FindResult,
    run=find_files,
)
