"""Commands on the host."""

import contextlib
from typing import Annotated

import mcp_types as types
from pydantic import Field

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.errors import CommandTimedOut, InvalidRequest
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import CommandEnd, Stream
from fairlead_sidecar.tools.output import OutputBuffer
from fairlead_sidecar.tools.progress import LiveOutput
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Arguments, Call, Failed, Result, Tool
from fairlead_sidecar.tools.text import Encoding, as_output, shortened

COMMAND_CHARACTERS = 128 * 1024
"""Longest command line; Linux takes no longer single argument (MAX_ARG_STRLEN)."""


class ExecuteArguments(Arguments):
    """Arguments of `execute_command`."""

    command: Annotated[
        str,
        Field(
            description="Command line for the account's shell on the host, as you would type it after `ssh host`.",
            max_length=COMMAND_CHARACTERS,
        ),
    ]
    timeout_seconds: Annotated[
        float | None,
        Field(
            description="Seconds after which the command and all processes it started are killed. "
            "Left out: the host's limit, which is also the most that is accepted.",
            gt=0,
            allow_inf_nan=False,
        ),
    ] = None


class ExecuteResult(Result):
    """Result of `execute_command`."""

    exit_code: Annotated[int | None, Field(description="Exit status; null when a signal ended the command.")]
    signal: Annotated[str | None, Field(description="Name of the signal that ended it (e.g. KILL), or null.")]
    stdout: str
    stderr: str
    stdout_encoding: Annotated[
        Encoding,
        Field(
            description="utf-8: exact. utf-8-replaced: invalid bytes were replaced by U+FFFD. "
            "base64: binary, exact once decoded."
        ),
    ]
    stderr_encoding: Encoding
    stdout_bytes: Annotated[int, Field(description="Bytes the command wrote, also those that were cut.")]
    stderr_bytes: int
    stdout_truncated: Annotated[
        bool,
        Field(description="Whether its middle was left out: above the host's limit, or too much for a message."),
    ]
    stderr_truncated: bool
    duration_seconds: float
    timed_out: Annotated[bool, Field(description="Whether it was killed at its timeout.")]


async def execute_command(call: Call, arguments: ExecuteArguments) -> ExecuteResult:
    """Run a command line and wait for its end."""
    command, limit = arguments.command, call.limits.command_timeout
    call.facts["command"] = command
    if not command.strip():
        raise InvalidRequest("The command is empty.", hint="Give a command line.")
    if "\0" in command:
        raise InvalidRequest("The command contains a NUL character, which no command line can hold.")
    timeout = arguments.timeout_seconds if arguments.timeout_seconds is not None else limit
    if timeout > limit:
        msg = f"timeout_seconds is {timeout:g}, above this host's limit of {limit:g} seconds."
        raise InvalidRequest(msg, hint=f"Give at most {limit:g}, or start the work in the background.")
    call.policy.check_command(command)

    output: dict[Stream, OutputBuffer] = {
        "stdout": OutputBuffer(call.limits.output_bytes),
        "stderr": OutputBuffer(call.limits.output_bytes),
    }
    live = LiveOutput(call.progress) if call.progress is not None else None

    def take(stream: Stream, data: bytes) -> None:
        output[stream].feed(data)
        if live is not None:
            live.write(stream, data)

    async with contextlib.AsyncExitStack() as stack:
        if live is not None:
            await stack.enter_async_context(live.reporting())
        end = await call.link.run_command(CommandRequest(command=command), timeout=timeout, sink=take)
    stdout, stderr = output["stdout"], output["stderr"]
    call.facts |= {"exit_code": end.exit_code, "output_bytes": stdout.total + stderr.total}
    # What the buffers kept is at most this, so that a first cut below it is one that counts.
    longest = min(call.limits.output_bytes, max(len(stdout.content()), len(stderr.content()), 1))
    result = fitting(lambda most: _result(call.host, end, stdout, stderr, most), longest)
    if end.stopped:
        msg = f"The command was killed after {timeout:g} seconds; the output up to then is in the result."
        raise Failed(CommandTimedOut(msg), result)
    return result


def _result(host: str, end: CommandEnd, out_buffer: OutputBuffer, err_buffer: OutputBuffer, most: int) -> ExecuteResult:
    kept_out, kept_err = out_buffer.content(), err_buffer.content()
    out = shortened(kept_out, total=out_buffer.total, limit=most)
    err = shortened(kept_err, total=err_buffer.total, limit=most)
    out_cut, err_cut = out_buffer.truncated or out != kept_out, err_buffer.truncated or err != kept_err
    stdout, stdout_encoding = as_output(out, truncated=out_cut)
    stderr, stderr_encoding = as_output(err, truncated=err_cut)
    return ExecuteResult(
        host=host,
        exit_code=end.exit_code,
        signal=end.signal,
        stdout=stdout,
        stderr=stderr,
        stdout_encoding=stdout_encoding,
        stderr_encoding=stderr_encoding,
        stdout_bytes=out_buffer.total,
        stderr_bytes=err_buffer.total,
        stdout_truncated=out_cut,
        stderr_truncated=err_cut,
        duration_seconds=round(end.duration_seconds, 6),
        timed_out=end.stopped is not None,
    )


TOOLS = (
    Tool(
        name="execute_command",
        title="Execute a command",
        description=(
            "Run a command line on the host over SSH, in the account's shell, and return exit code, stdout and stderr. "
            "Each call is a shell of its own: the working directory and variables do not carry over, so join what "
            "belongs together (`cd /srv && make`). There is no terminal and no input: use non-interactive options. "
            "A command that exits with another code than 0 is still a result, not an error. Of long output the "
            "beginning and the end are kept, and it is marked as truncated: narrow it with head, tail or grep. "
            "Output arrives as progress while it runs."
        ),
        group=ToolGroup.EXECUTE,
        permission=Permission.EXECUTE,
        annotations=types.ToolAnnotations(
            title="Execute a command",
            read_only_hint=False,
            destructive_hint=True,
            idempotent_hint=False,
            open_world_hint=True,
        ),
        arguments=ExecuteArguments,
        result=ExecuteResult,
        run=execute_command,
    ),
)
