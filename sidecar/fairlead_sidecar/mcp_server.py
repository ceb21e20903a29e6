"""The MCP server: which tools a caller sees, and every call from argument check to audit line."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from starlette.requests import Request

from fairlead_sidecar import audit, schema
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission, SidecarConfig
from fairlead_sidecar.errors import (
    Cancelled,
    ConfirmationRefused,
    FairleadError,
    InvalidRequest,
    PermissionDenied,
    PolicyDenied,
    TokenRevoked,
)
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.tools.catalogue import TOOLS, offered
from fairlead_sidecar.tools.spec import Arguments, Call, Failed, Result, Tool
from fairlead_sidecar.validation import problems

logger = logging.getLogger(__name__)

CALLER_KEY = "fairlead.caller"
"""Where the gate leaves the caller in the ASGI scope."""

Context = ServerRequestContext[Any, Request]
_T = TypeVar("_T")


def build_server(sidecar: Sidecar, *, local_caller: Caller | None = None) -> Server[Any]:
    """The MCP server of a sidecar, for any transport.

    Args:
        local_caller: Who it is when messages do not come over HTTP (stdio); None refuses them.
    """
    calls = _Calls(sidecar, local_caller)
    server: Server[Any] = Server(
        "fairlead",
        version=version("fairlead"),
        on_list_tools=calls.list_tools,
        on_call_tool=calls.call_tool,
        # Else the SDK runs tools/list before each call only to look for a header feature that no tool uses.
        get_tool_input_schema=lambda _name: None,
    )

    def introduce(active: Active) -> None:
        server.title = f"{active.config.namespace}/{active.config.name}"
        server.instructions = instructions(active.config)

    sidecar.on_active.append(introduce)
    if sidecar.active is not None:
        introduce(sidecar.active)
    return server


def instructions(config: SidecarConfig) -> str:
    """What a model reads about the host before it uses any tool."""
    target = config.target
    sentences = [
        f"These tools work on the host `{config.name}` ({target.username}@{target.address}:{target.port}) over SSH."
    ]
    if config.description:
        sentences.append(f"Its owner says about it: {config.description}")
    sentences.append(
        f"A command may run for {config.limits.command_timeout:g} s and return {config.limits.output_bytes} bytes of "
        "stdout and of stderr. An error has a code, says what to do in `hint`, and whether trying again can help in "
        "`retriable`."
    )
    return " ".join(sentences)


@dataclass
class _Record:
    """One call on its way into the audit trail."""

    tool: str
    started: float = field(default_factory=time.monotonic)
    caller: Caller | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    decision: str = "allow"
    outcome: str = FairleadError.code
    """Until another one is known."""


class _Calls:
    def __init__(self, sidecar: Sidecar, local_caller: Caller | None) -> None:
        self._sidecar = sidecar
        self._local_caller = local_caller

    async def list_tools(self, ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """The tools that this caller may use; what it may not use is absent."""
        active, caller = self._who(ctx)
        tools = offered(active.config.groups).values()
        visible = [tool for tool in tools if caller.is_probe or tool.permission in caller.permissions]
        return types.ListToolsResult(tools=[schema.listed(tool, active.config.name) for tool in visible])

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Run a tool and write its audit line, however it ends."""
        record = _Record(params.name)
        try:
            return await self._checked_call(ctx, params, record)
        except asyncio.CancelledError:
            record.outcome = TokenRevoked.code if self._revoked(record.caller) else Cancelled.code
            raise
        finally:
            self._account(ctx, record)

    async def _checked_call(
        self, ctx: Context, params: types.CallToolRequestParams, record: _Record
    ) -> types.CallToolResult:
        try:
            active, caller = self._who(ctx)
        except MCPError:
            self._deny(record, TokenRevoked.code)
            raise
        record.caller = caller
        host = active.config.name
        tool = offered(active.config.groups).get(params.name)
        if tool is None:
            record.outcome = "unknown_tool"
            raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {params.name[:100]!a}")
        try:
            _require(tool.permission, caller)
            arguments = _arguments(tool, params.arguments)
            call = self._call(ctx, active, caller, record)
            result = await self._run(caller, tool, call, arguments)
        except Failed as failure:
            record.outcome = failure.error.code
            return schema.failed(failure.error, host, failure.result)
        except FairleadError as error:
            record.outcome = error.code
            if isinstance(error, (PolicyDenied, PermissionDenied)):
                self._deny(record, error.code)
            return schema.failed(error, host)
        except Exception:
            # Nothing of an unforeseen error's text goes out: it may hold what the caller must not see.
            logger.exception("The tool %s failed unexpectedly", tool.name)
            return schema.failed(FairleadError("The tool failed unexpectedly."), host)
        record.outcome = "ok"
        return schema.succeeded(result)

    def _deny(self, record: _Record, reason: str) -> None:
        record.decision, record.outcome = "deny", reason
        self._sidecar.metrics.denial(reason)

    def _call(self, ctx: Context, active: Active, caller: Caller, record: _Record) -> Call:
        if self._sidecar.link is None:
            raise FairleadError("The link was not started yet.")
        return Call(
            host=active.config.name,
            link=self._sidecar.link,
            limits=active.config.limits,
            policy=active.policy,
            caller=caller,
            confirm=_cannot_ask,
            progress=_progress(ctx),
            facts=record.facts,
        )

    async def _run(self, caller: Caller, tool: Tool, call: Call, arguments: Arguments) -> Result:
        with self._sidecar.work.track(caller.key, tool.permission):
            return await _cancelled_once(tool.run(call, arguments))
        # Only a cut of our own ends the block early without an exception.
        if self._sidecar.draining:
            raise Cancelled("The sidecar is shutting down; the call was cancelled.")
        if not self._revoked(caller):
            lost = f"The token lost the permission {tool.permission.value} while the call ran; the call was cancelled."
            raise PermissionDenied(lost)
        raise TokenRevoked("The token was revoked while the call ran; the call was cancelled.")

    def _revoked(self, caller: Caller | None) -> bool:
        active = self._sidecar.active
        return caller is not None and active is not None and active.grants.current(caller.key) is None

    def _who(self, ctx: Context) -> tuple[Active, Caller]:
        """The configuration in force and the caller as it now stands.

        Asked anew for each message: between a message's arrival and its turn its token may have been revoked.
        """
        active = self._sidecar.active
        known = self._local_caller if ctx.request is None else ctx.request.scope.get(CALLER_KEY)
        caller = active.grants.current(known.key) if active is not None and known is not None else None
        if active is None or caller is None or self._sidecar.draining:
            raise MCPError(code=types.INVALID_REQUEST, message="The credential is no longer valid.")
        return active, caller

    def _account(self, ctx: Context, record: _Record) -> None:
        seconds = time.monotonic() - record.started
        self._sidecar.metrics.call(record.tool if record.tool in TOOLS else "unknown", record.outcome, seconds)
        caller, active, request = record.caller, self._sidecar.active, ctx.request
        client = ctx.session.client_params.client_info if ctx.session.client_params else None
        in_meta = (ctx.meta or {}).get("traceparent")
        self._sidecar.audit.write(
            "call",
            {
                "subject": caller.subject if caller else None,
                "token_id": caller.token_id if caller else None,
                "client": client.name if client else None,
                "client_version": client.version if client else None,
                **audit.peer(request),
                "namespace": active.config.namespace if active else None,
                "host": active.config.name if active else None,
                "tool": record.tool,
                **record.facts,
                "decision": record.decision,
                "outcome": record.outcome,
                "duration_seconds": round(seconds, 6),
                "trace_id": audit.trace_id(in_meta, request.headers.get("traceparent") if request else None),
            },
        )


def _require(permission: Permission, caller: Caller) -> None:
    if permission not in caller.permissions:
        raise PermissionDenied(f"The token does not have the permission {permission.value}.")


def _arguments(tool: Tool, given: dict[str, Any] | None) -> Arguments:
    try:
        return tool.arguments.model_validate(given or {})
    except ValidationError as error:
        raise InvalidRequest(f"Invalid arguments for {tool.name}: {problems(error)}.") from None


async def _cannot_ask(_question: str) -> None:
    raise ConfirmationRefused("A person has to agree to this, and this client has no way to ask them.")


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
