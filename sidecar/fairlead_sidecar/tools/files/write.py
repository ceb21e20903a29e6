"""`write_file`."""

from typing import Annotated

from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh import files as remote
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.tools.files.common import (
    Encoding,
    Expected,
    Mode,
    Path,
    Sha256,
    changes,
    decoded,
    octal,
    parsed_mode,
    path_of,
    writable,
)
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool


class WriteArguments(Arguments):
    """Arguments of `write_file`."""

    path: Path
    content: str
    encoding: Encoding = "utf-8"
    mode: Mode = None
    append: Annotated[bool, Field(description="Write at the end instead.")] = False
    create_parents: bool = False
    if_absent: Annotated[bool, Field(description="Fail if it exists.")] = False
    expected_sha256: Expected = None


class WriteResult(Result):
    """Result of `write_file`."""

    path: Annotated[str, Field(description="Links followed.")]
    size: int
    mode: str
    sha256: Sha256


async def write_file(call: Call, arguments: WriteArguments) -> WriteResult:
    """Create, replace or prolong a file."""
    if arguments.if_absent and arguments.expected_sha256 is not None:
        raise InvalidRequest("A file that must be absent has no sha256.", hint="Give one of the two.")
    data = decoded(arguments.content, arguments.encoding)
    path = path_of(call, arguments.path)
    call.facts["bytes"] = len(data)
    written = await writable(call).write_file(
        path,
        data,
        mode=parsed_mode(arguments.mode),
        append=arguments.append,
        create_parents=arguments.create_parents,
        expected=remote.Expected(arguments.expected_sha256, absent=arguments.if_absent),
    )
    return WriteResult(
        host=call.host, path=shown(written.path), size=written.size, mode=octal(written.mode), sha256=written.sha256
    )


TOOL = Tool(
    name="write_file",
    title="Write a file",
    description=(
        "Create a file or replace its whole content in one step; mode and owner stay. "
        "To change a part of a text file use edit_file."
    ),
    group=ToolGroup.FILES,
    permission=Permission.WRITE,
    annotations=changes(destructive=True, idempotent=False),
    arguments=WriteArguments,
    result=WriteResult,
    run=write_file,
)
