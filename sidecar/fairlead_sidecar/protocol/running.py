"""Running a tool for a caller: its arguments, its permission, what it works with, and its end."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.selection import not_selected, selected
from fairlead_sidecar.config import Permission
from fairlead_sidecar.errors import (
    Cancelled,
    ConfirmationRefused,
    FairleadError,
    InvalidRequest,
    PermissionDenied,
    PolicyDenied,
    RateLimited,
    TokenRevoked,
    TooBusy,
)
from fairlead_sidecar.protocol.caller import Callers, Context, room
from fairlead_sidecar.protocol.record import Record, Recorder
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.catalogue import withheld
from fairlead_sidecar.tools.masking import masked, masked_error
from fairlead_sidecar.tools.redact import Redactor, redactor
from fairlead_sidecar.tools.spec import Arguments, Call, Failed, Result, Tool
from fairlead_sidecar.validation import problems

logger = logging.getLogger(__name__)

DENIALS = (PolicyDenied, PermissionDenied, ConfirmationRefused, RateLimited)
"""Errors that mean that the call was refused, not that it failed."""
MOST_CALLS = 512
"""Calls under way at once, those included that wait for a session of the host, for a person, or for a lost client."""
MOST_CALLS_OF_OWNER = 256
SURE_CALLS = 8
"""Calls of one owner that find a place even where others take all of them."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Turn:
    """One admitted message, and what holds while it is served."""

    ctx: Context
    active: Active
    caller: Caller
    record: Record


class UnknownTool(MCPError):
    """The host has no tool of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(code=types.INVALID_PARAMS, message=f"Unknown tool: {name[:100]!a}")


class Runner:
    """Runs tools, whether they were called as such or stand behind something else."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self.sidecar = callers.sidecar
        self.recorder = Recorder(callers)
        self._under_way: Counter[str] = Counter()

    def admit(self, ctx: Context, record: Record) -> Turn:
        """The configuration in force and the caller, noted in the record.

        Raises:
            MCPError: The credential is no longer valid.
        """
        try:
            active, caller = self._callers.who(ctx)
        except MCPError:
            self.recorder.deny(record, TokenRevoked.code)
            raise
        record.caller = caller
        return Turn(ctx, active, caller, record)

    def failed(self, record: Record, error: FairleadError) -> None:
        """Note how a call ended."""
        record.outcome = error.code
        if isinstance(error, DENIALS):
            self.recorder.deny(record, error.code)

    async def run(
        self, turn: Turn, tool: Tool, given: dict[str, Any] | None, confirm: Callable[[str], Awaitable[None]]
    ) -> Result:
        """Run a tool with what a client gave as its arguments.

        Raises:
            FairleadError: It may not run, or failed.
            Failed: It failed with a part of the result.
        """
        active, caller = turn.active, turn.caller
        if tool.permission not in caller.permissions:
            raise PermissionDenied(f"The token does not have the permission {tool.permission.value}.")
        if not selected(caller.tools, tool.name):
            raise not_selected(tool.name)
        arguments = _arguments(tool, given)
        if self.sidecar.link is None:
            raise FairleadError("The link was not started yet.")
        turn.record.redactor = masks = _redactor(turn, tool)

        async def agreed(question: str) -> None:
            await confirm(question)
            self._check_unchanged(turn, tool)

        call = Call(
            host=active.config.name,
            account=active.config.target.username,
            link=self.sidecar.link,
            commands=self.sidecar.commands,
            limits=active.config.limits,
            policy=active.policy,
            caller=caller,
            confirm=agreed,
            progress=_progress(turn.ctx),
            room=room(turn.ctx),
            redactor=masks,
            facts=turn.record.facts,
        )
        with self.place(caller), call.room, self.sidecar.work.track(caller, tool.permission, tool.name):
            try:
                return masked(masks, await _cancelled_once(tool.run(call, arguments)))
            except Failed as failure:
                raise Failed(masked_error(masks, failure.error), masked(masks, failure.result)) from None
            except FairleadError as error:
                raise masked_error(masks, error) from None
        # Only a cut of our own ends the block early without an exception.
        raise self.cut(caller, tool.permission, tool.name)

    def cut(self, caller: Caller, permission: Permission, tool: str) -> FairleadError:
        """Why a call was ended from here while it ran."""
        if self.sidecar.draining:
            return Cancelled("The sidecar is shutting down; the call was cancelled.")
        revoked, current = self._callers.revoked(caller), self._callers.current(caller)
        if revoked is not None or current is None:
            return revoked or TokenRevoked("The token was revoked while the call ran; the call was cancelled.")
        if permission not in current.permissions:
            lost = f"The token lost the permission {permission.value} while the call ran; the call was cancelled."
            return PermissionDenied(lost)
        if not selected(current.tools, tool):
            return PermissionDenied(f"The token lost the tool {tool} while the call ran; the call was cancelled.")
        return PolicyDenied(f"The host's policy took {tool} away while the call ran; the call was cancelled.")

    @contextlib.contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """One call's place among those under way.

        Raises:
            TooBusy: There is none.
        """
        own, total = self._under_way[caller.owner], self._under_way.total()
        if own >= MOST_CALLS_OF_OWNER or (total >= MOST_CALLS and own >= SURE_CALLS):
            msg = f"Too many calls are under way: {own} of this token, {total} in all."
            raise TooBusy(msg, hint="Wait until some of them have ended.")
        self._under_way[caller.owner] += 1
        try:
            yield
        finally:
            self._under_way[caller.owner] -= 1
            if not self._under_way[caller.owner]:
                # Else every owner there ever was would stay.
                del self._under_way[caller.owner]

    def _check_unchanged(self, turn: Turn, tool: Tool) -> None:
        """See that a call may still do what it may have done when it began: a person takes minutes to agree.

        Raises:
            MCPError: The credential is no longer valid.
            PolicyDenied: The host's policy, or what the token may do, is another one.
        """
        active, caller = self._callers.who(turn.ctx)
        same_policy = active.config.policy == turn.active.config.policy and tool.name in active.tools
        same_tools = caller.tools == turn.caller.tools
        if not same_policy or not same_tools or not turn.caller.permissions <= caller.permissions:
            msg = "What may be done here was changed while a person was asked; nothing was done."
            raise PolicyDenied(msg, hint="Send the call again to have it checked anew.")


def find(active: Active, name: str) -> Tool:
    """A tool of the host.

    Raises:
        PolicyDenied: The host's policy keeps it back.
        UnknownTool: There is none of that name.
    """
    if (tool := active.tools.get(name)) is not None:
        return tool
    if name in withheld(active.config):
        raise PolicyDenied(f"This host is read-only, and {name} may change something on it.")
    raise UnknownTool(name)


def _redactor(turn: Turn, tool: Tool) -> Redactor:
    """What masks the call's answer. Without it nothing of the host may be told."""
    try:
        return redactor(turn.active.config.policy.redact)
    except FairleadError:
        if tool.permission is Permission.VIEW:
            return Redactor()
        # They may hold what can't be masked now.
        turn.record.facts.clear()
        raise


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
