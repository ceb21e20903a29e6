"""`list_directory` and `stat_path`."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files import FileType
from fairlead_sidecar.tools.files.common import READS, Path, octal, path_of, readable
from fairlead_sidecar.tools.files.entries import Entry, entry
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool

MAX_ENTRIES = 10_000
MAX_DEPTH = 20


class ListArguments(Arguments):
    """Arguments of `list_directory`."""

    path: Path
    depth: Annotated[int, Field(description="Levels of directories; links are not followed.", ge=1, le=MAX_DEPTH)] = 1
    hidden: Annotated[bool, Field(description="Names that begin with a dot too.")] = True
    limit: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = 1000


class ListResult(Result):
    """Result of `list_directory`."""

    path: Annotated[str, Field(description="Links followed.")]
    entries: Annotated[list[Entry], Field(description="By name.")]
    truncated: Annotated[bool, Field(description="There are more.")]
    unreadable: Annotated[int, Field(description="Directories that could not be listed.")]


class StatArguments(Arguments):
    """Arguments of `stat_path`."""

    path: Path


class StatResult(Result):
    """Result of `stat_path`."""

    exists: bool
    path: str
    resolved_path: Annotated[str | None, Field(description="Where a link leads in the end.")] = None
    type: FileType | None = None
    size: int | None = None
    mode: str | None = None
    uid: int | None = None
    gid: int | None = None
    modified: datetime | None = None
    accessed: datetime | None = None
    link_target: str | None = None


async def list_directory(call: Call, arguments: ListArguments) -> ListResult:
    """List a directory."""
    path = path_of(call, arguments.path)
    listing = await readable(call).list_directory(
        path, limit=arguments.limit, depth=arguments.depth, hidden=arguments.hidden
    )
    entries = [entry(info, listing.path) for info in listing.entries]
    return fitting(
        lambda most: ListResult(
            host=call.host,
            path=shown(listing.path),
            entries=entries[:most],
            truncated=listing.truncated or most < len(entries),
            unreadable=listing.unreadable,
        ),
        max(len(entries), 1),
        least=1,
    )


async def stat_path(call: Call, arguments: StatArguments) -> StatResult:
    """Look at what is at a path."""
    info, leads = await readable(call).stat(path_of(call, arguments.path))
    if info is None:
        return StatResult(host=call.host, exists=False, path=arguments.path)
    return StatResult(
        host=call.host,
        exists=True,
        path=shown(info.path),
        resolved_path=None if leads is None else shown(leads),
        type=info.type,
        size=info.size,
        mode=octal(info.mode),
        uid=info.uid,
        gid=info.gid,
        modified=info.modified,
        accessed=info.accessed,
        link_target=None if info.target is None else shown(info.target),
    )


LIST = Tool(
    name="list_directory",
    title="List a directory",
    description="List a directory, with types, sizes, permissions, owners and times; deeper with depth.",
    group=ToolGroup.FILES,
    permission=Permission.READ,
    annotations=READS,
    arguments=ListArguments,
    result=ListResult,
    run=list_directory,
)

STAT = Tool(
    name="stat_path",
    title="Look at a path",
    description="Whether a path exists, and what it is; a symbolic link itself, and where it leads.",
    group=ToolGroup.FILES,
    permission=Permission.READ,
    annotations=READS,
    arguments=StatArguments,
    result=StatResult,
    run=stat_path,
)
