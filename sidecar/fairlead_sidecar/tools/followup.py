"""Commands in the background, and output that was too long for a result."""

import asyncio
from typing import Annotated, Literal

import mcp_types as types
from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.errors import NotFound
from fairlead_sidecar.ssh.result import Stream
from fairlead_sidecar.tools.command_result import CommandResult, Compact, OutputEncoding, command_result
from fairlead_sidecar.tools.run import checked
from fairlead_sidecar.tools.sanitize import Hidden, visible
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Tool
from fairlead_sidecar.tools.text import Encoding, as_base64, as_output, whole_characters

READ_BYTES = 256 * 1024
"""What `read_output` reads at most."""


class CommandArguments(Arguments):
    """Arguments of tools that look after one command."""

    command_id: Annotated[str, Field(description="From the call that began it.", max_length=100)]


class CommandOutputArguments(CommandArguments):
    """Arguments of `command_output`."""

    wait_seconds: Annotated[float, Field(description="How long to wait for its end.", ge=0, allow_inf_nan=False)] = 0
    output_encoding: Annotated[OutputEncoding, Field(description="base64: exact bytes.")] = "auto"


class ReadOutputArguments(Arguments):
    """Arguments of `read_output`."""

    output_id: Annotated[str, Field(description="From a command's result.", max_length=100)]
    stream: Annotated[Stream, Field(description="Which output.")] = "stdout"
    offset: Annotated[int, Field(description="Byte to begin at.", ge=0)] = 0
    max_bytes: Annotated[int, Field(description="How much to read.", ge=1, le=READ_BYTES)] = 64 * 1024
    encoding: Annotated[Literal["utf-8", "base64"], Field(description="base64: exact bytes.")] = "utf-8"


class ReadOutputResult(Compact):
    """Result of `read_output`."""

    content: str
    encoding: Encoding
    neutralised: list[Hidden] = []  # noqa: RUF012 - pydantic copies defaults
    next_offset: Annotated[int | None, Field(description="To read on.")] = None
    total_bytes: Annotated[int, Field(description="Written in all.")]


async def command_output(call: Call, arguments: CommandOutputArguments) -> CommandResult:
    """What a command wrote since the last look, and how it stands."""
    command = call.commands.find(call.caller.owner, arguments.command_id)
    call.facts["command_id"] = command.id
    if command.running and arguments.wait_seconds:
        await asyncio.wait([command.task], timeout=min(arguments.wait_seconds, call.limits.foreground_timeout))
    return checked(command, command_result(command, arguments.output_encoding))


async def command_cancel(call: Call, arguments: CommandArguments) -> CommandResult:
    """Kill a command."""
    command = call.commands.find(call.caller.owner, arguments.command_id)
    call.facts["command_id"] = command.id
    if command.running:
        await call.commands.cancel(command)
    return command_result(command, "auto")


async def read_output(call: Call, arguments: ReadOutputArguments) -> ReadOutputResult:
    """Read on in the output of a command."""
    command = call.commands.find(call.caller.owner, arguments.output_id)
    call.facts |= {"command_id": command.id, "offset": arguments.offset}
    spooled, stream, offset = command.output.spooled, arguments.stream, arguments.offset
    if spooled.gone:
        raise NotFound("The output is no longer kept: it had to make room for newer ones.")
    try:
        data = spooled.read(stream, offset, arguments.max_bytes)
    except OSError:
        raise NotFound("The output can't be read any more.") from None
    kept, total = spooled.size[stream], command.output.total[stream]

    def piece(limit: int) -> ReadOutputResult:
        part = data[:limit]
        more = offset + len(part) < kept or command.running
        if more and arguments.encoding == "utf-8":
            part = part[: whole_characters(part) or len(part)]
        content, encoding = as_base64(part) if arguments.encoding == "base64" else as_output(part)
        shown, hidden = (content, []) if encoding is Encoding.BASE64 else visible(content)
        return ReadOutputResult(
            host=call.host,
            content=shown,
            encoding=encoding,
            neutralised=hidden,
            next_offset=offset + len(part) if more else None,
            total_bytes=total,
        )

    return fitting(piece, max(len(data), 1))


def _tool(name: str, title: str, description: str, *, read_only: bool, **rest: object) -> Tool:
    return Tool(
        name=name,
        title=title,
        description=description,
        group=ToolGroup.EXECUTE,
        permission=Permission.EXECUTE,
        annotations=types.ToolAnnotations(
            read_only_hint=read_only,
            destructive_hint=not read_only,
            idempotent_hint=not read_only,
            open_world_hint=False,
        ),
        **rest,  # type: ignore[arg-type] # arguments, result and run, as each of the three below names them
    )


TOOLS = (
    _tool(
        "command_output",
        "Output of a running command",
        "Tell how a command with a command_id stands, and what it wrote since the last look.",
        read_only=True,
        arguments=CommandOutputArguments,
        result=CommandResult,
        run=command_output,
    ),
    _tool(
        "command_cancel",
        "Cancel a command",
        "Kill a running command and all processes it started.",
        read_only=False,
        arguments=CommandArguments,
        result=CommandResult,
        run=command_cancel,
    ),
    _tool(
        "read_output",
        "Read a command's output",
        "Read a command's whole output in pieces, for an hour after its end.",
        read_only=True,
        arguments=ReadOutputArguments,
        result=ReadOutputResult,
        run=read_output,
    ),
)
