"""`edit_file`."""

import asyncio
from typing import Annotated

from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.ssh import files as remote
from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.tools.files.common import Expected, Path, changeable, changes, octal, path_of
from fairlead_sidecar.tools.files.replacing import Replacement, difference, replaced
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool


class Edit(Arguments):
    """One replacement."""

    old: Annotated[str, Field(min_length=1)]
    new: str


class EditArguments(Arguments):
    """Arguments of `edit_file`."""

    path: Path
    edits: Annotated[list[Edit], Field(description="One after the other, all or none.", min_length=1, max_length=100)]
    replace_all: Annotated[bool, Field(description="Every occurrence, not exactly one.")] = False
    expected_sha256: Expected = None


class EditResult(Result):
    """Result of `edit_file`."""

    path: Annotated[str, Field(description="Links followed.")]
    diff: Annotated[str, Field(description="For who may read.")]
    diff_truncated: bool
    replacements: int
    size: int
    mode: str
    sha256: str


async def edit_file(call: Call, arguments: EditArguments) -> EditResult:
    """Change parts of a file."""
    path = path_of(call, arguments.path)
    wanted = [Replacement(edit.old, edit.new) for edit in arguments.edits]
    count, new = 0, b""

    def change(old: bytes) -> bytes:
        nonlocal count, new
        new, count = replaced(old, wanted, everywhere=arguments.replace_all, redactor=call.redactor)
        return new

    old, written = await changeable(call).edit_file(path, change, expected=remote.Expected(arguments.expected_sha256))
    call.facts["bytes"] = len(new)
    diff, truncated = "", True
    if Permission.READ in call.caller.permissions:
        # In a thread: the diff of a large file takes a while.
        diff, truncated = await asyncio.to_thread(difference, old.decode(), new.decode(), shown(written.path))
    return EditResult(
        host=call.host,
        path=shown(written.path),
        diff=diff,
        diff_truncated=truncated,
        replacements=count,
        size=written.size,
        mode=octal(written.mode),
        sha256=written.sha256 or "",
    )


TOOL = Tool(
    name="edit_file",
    title="Edit a file",
    description=(
        "Replace exact texts in a UTF-8 file, each occurring exactly once, in one step. "
        "Mode, owner and line ends stay. Returns a unified diff."
    ),
    group=ToolGroup.FILES,
    permission=Permission.WRITE,
    annotations=changes(destructive=True, idempotent=False),
    arguments=EditArguments,
    result=EditResult,
    run=edit_file,
)
