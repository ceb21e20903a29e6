"""Every tool call, from argument check to result."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from fairlead_sidecar import schema
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission
from fairlead_sidecar.errors import (
    Cancelled,
    ConfirmationRefused,
    FairleadError,
    InvalidRequest,
    PermissionDenied,
    PolicyDenied,
    TokenRevoked,
)
from fairlead_sidecar.protocol.caller import Callers, Context
from fairlead_sidecar.protocol.confirm import Confirmation, InputNeeded
from fairlead_sidecar.protocol.questions import Questions
from fairlead_sidecar.protocol.record import Record, Recorder
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.catalogue import withheld
from fairlead_sidecar.tools.spec import Arguments, Call, Failed, Result, Tool
from fairlead_sidecar.validation import problems

logger = logging.getLogger(__name__)

DENIALS = (PolicyDenied, PermissionDenied, ConfirmationRefused)
"""Errors that mean that the call was refused, not that it failed."""
_T = TypeVar("_T")


class Calls:
    """Runs tools."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._recorder = Recorder(callers)
        self._questions = Questions()
        self._sidecar = callers.sidecar

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Run a tool and write its audit line, however it ends."""
        with self._recorder.recording(ctx, params.name) as record:
            return await self._checked_call(ctx, params, record)

    async def _checked_call(
        self, ctx: Context, params: types.CallToolRequestParams, record: Record
    ) -> types.CallToolResult | types.InputRequiredResult:
        try:
            active, caller = self._callers.who(ctx)
        except MCPError:
            self._recorder.deny(record, TokenRevoked.code)
            raise
        record.caller = caller
        host = active.config.name
        try:
            tool = self._tool(active, params.name, record)
            _require(tool.permission, caller)
            arguments = _arguments(tool, params.arguments)
            confirm = Confirmation(ctx, params, caller.owner, self._questions, record.facts)
            call = self._call(ctx, active, caller, record, confirm)
            result = await self._run(caller, tool, call, arguments)
        except InputNeeded as needed:
            record.decision, record.outcome = "ask", "input_required"
            return needed.result
        except Failed as failure:
            record.outcome = failure.error.code
            return schema.failed(failure.error, host, failure.result)
        except FairleadError as error:
            record.outcome = error.code
            if isinstance(error, DENIALS):
                self._recorder.deny(record, error.code)
            return schema.failed(error, host)
        except MCPError:
            if record.outcome == FairleadError.code:
                self._recorder.deny(record, InvalidRequest.code)
            raise
        except Exception:
            # Nothing of an unforeseen error's text goes out: it may hold what the caller must not see.
            logger.exception("The tool %s failed unexpectedly", record.label)
            return schema.failed(FairleadError("The tool failed unexpectedly."), host)
        record.outcome = "ok"
        return schema.succeeded(result)

    def _tool(self, active: Active, name: str, record: Record) -> Tool:
        tool = active.tools.get(name)
        if tool is None and (tool := withheld(active.config).get(name)) is not None:
            record.label = tool.label
            raise PolicyDenied(f"This host is read-only, and {name} may change something on it.")
        if tool is None:
            record.outcome = "unknown_tool"
            raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {name[:100]!a}")
        record.label = tool.label
        return tool

    def _call(
        self, ctx: Context, active: Active, caller: Caller, record: Record, confirm: Callable[[str], Awaitable[None]]
    ) -> Call:
        if self._sidecar.link is None:
            raise FairleadError("The link was not started yet.")
        return Call(
            host=active.config.name,
            link=self._sidecar.link,
            limits=active.config.limits,
            policy=active.policy,
            caller=caller,
            confirm=confirm,
            progress=_progress(ctx),
            facts=record.facts,
        )

    async def _run(self, caller: Caller, tool: Tool, call: Call, arguments: Arguments) -> Result:
        with self._sidecar.work.track(caller.key, tool.permission):
            return await _cancelled_once(tool.run(call, arguments))
        # Only a cut of our own ends the block early without an exception.
        if self._sidecar.draining:
            raise Cancelled("The sidecar is shutting down; the call was cancelled.")
        if not self._callers.revoked(caller):
            lost = f"The token lost the permission {tool.permission.value} while the call ran; the call was cancelled."
            raise PermissionDenied(lost)
        raise TokenRevoked("The token was revoked while the call ran; the call was cancelled.")


def _require(permission: Permission, caller: Caller) -> None:
    if permission not in caller.permissions:
        raise PermissionDenied(f"The token does not have the permission {permission.value}.")


def _arguments(tool: Tool, given: dict[str, Any] | None) -> Arguments:
    try:
        return tool.arguments.model_validate(given or {})
    except ValidationError as error:
        raise InvalidRequest(f"Invalid arguments for {tool.name}: {problems(error)}.") from None


def _progress(ctx: Context) -> Callable[[float, str], Awaitable[None]] | None:
    if not ctx.meta or ctx.meta.get("progress_token") is None:
        return None

    async def report(value: float, message: str) -> None:
        await ctx.session.report_progress(value, None, message)

    return report


async def _cancelled_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` so that a cancellation reaches it once and is then waited for.

    The SDK cancels through AnyIO, which cancels again at every further await: clean-up that has to talk to the host
    first (kill the remote process) would never get that far.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("A cancelled call failed while it was ended: %r", error)
        raise
