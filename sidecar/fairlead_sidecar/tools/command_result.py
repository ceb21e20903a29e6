"""What agents get of a command: compact, with nothing hidden, and with the way to the rest."""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from fairlead_sidecar.errors import Cancelled, CommandTimedOut, FairleadError
from fairlead_sidecar.tools.excerpt import Excerpt
from fairlead_sidecar.tools.output import Report
from fairlead_sidecar.tools.running import Command
from fairlead_sidecar.tools.sanitize import Hidden, visible
from fairlead_sidecar.tools.size import fitting
from fairlead_sidecar.tools.spec import Result
from fairlead_sidecar.tools.text import Encoding, as_base64, as_output

_SURELY_FITS = 16 * 1024
"""Bytes of a stream that fit into a message however they have to be escaped."""
OutputEncoding = Literal["auto", "base64"]


class Status(StrEnum):
    """Where a command stands."""

    ENDED = "ended"
    RUNNING = "running"


class Stopped(StrEnum):
    """Why a command was killed."""

    TIMEOUT = "timeout"
    IDLE = "idle"
    CANCELLED = "cancelled"


class Compact(Result):
    """A result that leaves out what is as usual: fields at their default."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def] # it would be the schema
        usual = _usual(type(self))
        return {name: value for name, value in handler(self).items() if name not in usual or value != usual[name]}


@cache
def _usual(result: type[Compact]) -> dict[str, Any]:
    return {name: field.default for name, field in result.model_fields.items() if not field.is_required()}


class CommandResult(Compact):
    """Result of all tools that run commands or look after them."""

    status: Status
    exit_code: int | None = None
    signal: Annotated[str | None, Field(description="Signal that ended it, e.g. KILL.")] = None
    stopped: Annotated[Stopped | None, Field(description="Why it was killed.")] = None
    stdout: str
    stderr: str
    stdout_encoding: Annotated[Encoding, Field(description="utf-8 if absent.")] = Encoding.UTF8
    stderr_encoding: Encoding = Encoding.UTF8
    stdout_truncated: Annotated[bool, Field(description="Its middle was left out.")] = False
    stderr_truncated: bool = False
    stdout_bytes: Annotated[int | None, Field(description="All that was written.")] = None
    stderr_bytes: int | None = None
    neutralised: Annotated[list[Hidden], Field(description="Hidden characters made visible (␛, \\u202e).")] = []  # noqa: RUF012 - pydantic copies defaults
    duration_seconds: float
    command_id: Annotated[str | None, Field(description="For command_output, command_cancel.")] = None
    output_id: Annotated[str | None, Field(description="For read_output.")] = None


def command_facts(command: Command) -> dict[str, object]:
    """What the audit line of an ended command says."""
    end, error = command.end, command.error
    outcome = "ok"
    if error is not None:
        outcome = error.code if isinstance(error, FairleadError) else FairleadError.code
    elif end is None:
        outcome = Cancelled.code
    elif end.stopped is not None:
        outcome = CommandTimedOut.code
    return {
        **command.facts,
        "host": command.host,
        "command_id": command.id,
        "exit_code": end.exit_code if end else None,
        "signal": end.signal if end else None,
        "output_bytes": sum(command.output.total.values()),
        "outcome": outcome,
        "duration_seconds": round(command.seconds(), 6),
    }


def command_result(command: Command, encoding: OutputEncoding) -> CommandResult:
    """Where a command stands, with its output since the last report, as much as fits into one message."""
    running, end = command.running, command.end
    state: dict[str, Any] = {
        "host": command.host,
        "status": Status.RUNNING if running else Status.ENDED,
        "duration_seconds": round(command.seconds() if end is None else end.duration_seconds, 6),
        "command_id": command.id if running else None,
    }
    if end is not None:
        state |= {"exit_code": end.exit_code, "signal": end.signal, "stopped": end.stopped and Stopped(end.stopped)}
    elif command.cancelled and not running:
        state["stopped"] = Stopped.CANCELLED
    report = command.output.report(ended=not running)
    most = max(report.stdout.size, report.stderr.size, 1)
    if most < _SURELY_FITS:
        return _result(command, state, report, encoding, most)
    return fitting(lambda limit: _result(command, state, report, encoding, limit), most)


def _result(
    command: Command, state: dict[str, Any], report: Report, encoding: OutputEncoding, limit: int
) -> CommandResult:
    out, err = report.stdout.shortened(limit), report.stderr.shortened(limit)
    stdout, stdout_encoding, hidden_out = _text(out, encoding)
    stderr, stderr_encoding, hidden_err = _text(err, encoding)
    hidden = sorted({*hidden_out, *hidden_err})
    lossy = Encoding.REPLACED in (stdout_encoding, stderr_encoding)
    wanted = command.background or out.omitted or err.omitted or hidden or lossy
    return CommandResult(
        **state,
        stdout=stdout,
        stderr=stderr,
        stdout_encoding=stdout_encoding,
        stderr_encoding=stderr_encoding,
        stdout_truncated=out.omitted > 0,
        stderr_truncated=err.omitted > 0,
        stdout_bytes=_bytes(out, stdout_encoding),
        stderr_bytes=_bytes(err, stderr_encoding),
        neutralised=hidden,
        output_id=command.id if wanted and not command.output.spooled.gone else None,
    )


def _bytes(excerpt: Excerpt, encoding: Encoding) -> int | None:
    return excerpt.total if excerpt.omitted or encoding is not Encoding.UTF8 else None


def _text(excerpt: Excerpt, encoding: OutputEncoding) -> tuple[str, Encoding, list[Hidden]]:
    if encoding == "base64":
        return *as_base64(excerpt.content()), []
    text, used = as_output(excerpt.in_whole_characters().content())
    if used is Encoding.BASE64:
        return text, used, []
    shown, hidden = visible(text)
    return shown, used, hidden
