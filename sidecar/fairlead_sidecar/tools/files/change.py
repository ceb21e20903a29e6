"""`move_path`, `delete_path` and `make_directory`."""

from typing import Annotated

from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.ssh.file_names import meant, shown
from fairlead_sidecar.ssh.files import Guard
from fairlead_sidecar.tools.files.common import Mode, Path, changes, octal, parsed_mode, path_of, writable
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool


class MoveArguments(Arguments):
    """Arguments of `move_path`."""

    source: Path
    destination: Annotated[Path, Field(description="The whole new path.")]
    overwrite: Annotated[bool, Field(description="Replace a file, or an empty directory.")] = False


class MoveResult(Result):
    """Result of `move_path`."""

    source: str
    destination: str


class DeleteArguments(Arguments):
    """Arguments of `delete_path`."""

    path: Path
    recursive: Annotated[bool, Field(description="A directory with all that is in it.")] = False


class DeleteResult(Result):
    """Result of `delete_path`."""

    path: str
    deleted: Annotated[int, Field(description="Files and directories.")]


class MakeArguments(Arguments):
    """Arguments of `make_directory`."""

    path: Path
    parents: Annotated[bool, Field(description="Make those above too.")] = False
    mode: Mode = None
    exist_ok: bool = False


class MakeResult(Result):
    """Result of `make_directory`."""

    path: str
    created: bool
    mode: str


async def move_path(call: Call, arguments: MoveArguments) -> MoveResult:
    """Give something another place."""
    source, destination = path_of(call, arguments.source), meant(arguments.destination)
    call.facts["destination"] = arguments.destination
    old, new = await writable(call).move(
        source, destination, overwrite=arguments.overwrite, reading=Guard(call.policy.check_read)
    )
    call.facts["path"] = shown(old)
    call.facts["destination"] = shown(new)
    return MoveResult(host=call.host, source=shown(old), destination=shown(new))


async def delete_path(call: Call, arguments: DeleteArguments) -> DeleteResult:
    """Delete something."""
    path, deleted = await writable(call).delete(path_of(call, arguments.path), recursive=arguments.recursive)
    return DeleteResult(host=call.host, path=shown(path), deleted=deleted)


async def make_directory(call: Call, arguments: MakeArguments) -> MakeResult:
    """Make a directory."""
    path, created, mode = await writable(call).make_directory(
        path_of(call, arguments.path),
        mode=parsed_mode(arguments.mode),
        parents=arguments.parents,
        exist_ok=arguments.exist_ok,
    )
    return MakeResult(host=call.host, path=shown(path), created=created, mode=octal(mode))


MOVE = Tool(
    name="move_path",
    title="Move or rename",
    description="Move or rename a file, directory or symbolic link within its file system.",
    group=ToolGroup.FILES,
    permission=Permission.WRITE,
    annotations=changes(destructive=True, idempotent=False),
    arguments=MoveArguments,
    result=MoveResult,
    run=move_path,
)

DELETE = Tool(
    name="delete_path",
    title="Delete",
    description="Delete a file, an empty directory, or a symbolic link itself.",
    group=ToolGroup.FILES,
    permission=Permission.WRITE,
    annotations=changes(destructive=True, idempotent=False),
    arguments=DeleteArguments,
    result=DeleteResult,
    run=delete_path,
)

MAKE = Tool(
    name="make_directory",
    title="Make a directory",
    description="Make a directory.",
    group=ToolGroup.FILES,
    permission=Permission.WRITE,
    annotations=changes(destructive=False, idempotent=True),
    arguments=MakeArguments,
    result=MakeResult,
    run=make_directory,
)
