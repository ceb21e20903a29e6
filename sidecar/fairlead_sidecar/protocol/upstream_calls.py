"""Requests that an upstream server answers, on their way there and back.

What it answers passes as it came, but for the values that the host's policy masks.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import LOG_LEVEL_META_KEY
from mcp_types.methods import is_input_required
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar import schema
from fairlead_sidecar.access.selection import not_selected, selected
from fairlead_sidecar.config import Permission
from fairlead_sidecar.errors import FairleadError, PermissionDenied, PolicyDenied
from fairlead_sidecar.protocol.call_clock import CallClock
from fairlead_sidecar.protocol.caller import Context, alone, room
from fairlead_sidecar.protocol.confirm import ForgedState
from fairlead_sidecar.protocol.input_rounds import answered_here
from fairlead_sidecar.protocol.interaction import (
    Conversation,
    DeferredConversation,
    Voice,
    is_modern,
    wanted_level,
)
from fairlead_sidecar.protocol.pending_input import PendingCall, PendingInput
from fairlead_sidecar.protocol.questions import Subject
from fairlead_sidecar.protocol.record import Record
from fairlead_sidecar.protocol.running import Runner, Turn
from fairlead_sidecar.protocol.server_levels import ServerLevels
from fairlead_sidecar.protocol.servers import Servers
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.masking import masked_error
from fairlead_sidecar.tools.redact import redactor
from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.spec import Json, Session, Upstream

logger = logging.getLogger(__name__)

SERVER_ERROR = "mcp_server_error"
"""Outcome of a request that the server answered with an error of its own."""
TOOL_ERROR = "tool_error"
"""Outcome of a tool call whose result says that it failed."""
Work = Callable[[], Awaitable[Json]]
_ROUND = ("inputResponses", "requestState")
_WITH_ARGUMENTS = frozenset({"tools/call", "prompts/get"})


@dataclass(frozen=True)
class Target:
    """A request for an upstream server."""

    server: str
    method: str
    params: Json
    """In the server's own names."""
    subject: str
    """What it is about there: a name or a URI."""
    selected_by: str
    """The name among those of all tools that decides whether a token may send it."""
    read_only: bool = True
    """A tool: whether it changes nothing."""
    listed: bool = True
    """Whether its server lists it now, where it lists such things."""

    @property
    def is_call(self) -> bool:
        """Whether a tool is called."""
        return self.method == "tools/call"


class UpstreamCalls:
    """Serves what upstream servers answer: calls, prompts, resources, completions."""

    def __init__(self, runner: Runner, servers: Servers, levels: ServerLevels) -> None:
        self._runner = runner
        self._servers = servers
        self._levels = levels
        self._pending = PendingInput()
        self._changing: Counter[str] = Counter()
        """The tools that are being called and may change something."""
        runner.sidecar.on_active.append(self._enforce)

    async def serve(self, ctx: Context, target: Target, work: Work | None = None) -> Json:
        """Let the server answer, and write an audit line, however it ends.

        Args:
            work: What is done in place of passing the request on.

        Raises:
            MCPError: The server's own error, or why it could not be asked.
        """
        name = target.selected_by if target.is_call else target.method
        with self._runner.recorder.recording(ctx, name) as record:
            record.label, record.server = target.method, target.server
            turn = self._runner.admit(ctx, record)
            try:
                result = await self._answer(turn, target, work)
            except FairleadError as error:
                self._runner.failed(record, error)
                return _failed(masked_error(record.redactor, error), turn, target)
            except ForgedState:
                self._runner.recorder.deny(record, "forged_state")
                raise
            except MCPError as error:
                record.outcome = SERVER_ERROR
                masks = record.redactor
                if not masks:
                    raise
                raise MCPError(error.code, masks.text(error.message), masks.structure(error.data)) from None
            except Exception:
                # Nothing of an unforeseen error's text goes out: it may hold what the caller must not see.
                logger.exception("A request to the MCP server %s failed unexpectedly", target.server)
                return _failed(FairleadError("The request failed unexpectedly."), turn, target)
            _note(record, result)
            return result

    async def _answer(self, turn: Turn, target: Target, work: Work | None) -> Json:
        params, record = target.params, turn.record
        about = {key: value for key, value in params.items() if key not in {"_meta", *_ROUND}}
        if target.method in _WITH_ARGUMENTS:
            about = params.get("arguments") or {}
        subject = Subject.of(turn.caller.owner, f"{target.method} {target.server} {target.subject}", about)
        record.facts |= {"server": target.server, "arguments_sha256": subject.arguments_digest}
        record.redactor = redactor(turn.active.config.policy.redact)
        if not target.is_call:
            record.facts["about"] = target.subject
        check(turn, target)
        upstream = self._servers.all().get(target.server)
        if upstream is None:
            raise UpstreamError("The host no longer has this MCP server.")
        if not target.listed and (turn.caller.tools.deny or turn.active.config.policy.read_only):
            await self._refuse_unlisted(turn, target, upstream)
        call = self._resumed(turn, subject, params)
        if isinstance(call, PendingCall):
            return await self._next(call)
        conversation, run = self._begun(turn, target, call, subject, upstream, work=work)
        if work is None and not conversation.may_outlive_request:
            return await run()
        task = asyncio.create_task(run())
        # Nobody may come again for one that waits for answers.
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return await self._next(PendingCall(subject, conversation, task))

    def _resumed(self, turn: Turn, subject: Subject, params: Json) -> PendingCall | Json:
        """The call that the request goes on with; else the parameters of a new one."""
        state = params.get("requestState")
        if not is_modern(turn.ctx) or not isinstance(state, str):
            return params
        taken = self._pending.take(state, subject)
        if isinstance(taken, str):
            return {**params, "requestState": taken}
        if taken is None:
            return {key: value for key, value in params.items() if key not in _ROUND}
        if isinstance(taken.conversation, DeferredConversation):
            taken.conversation.attach(turn.ctx, wanted_level(turn.ctx))
            taken.conversation.give(params.get("inputResponses") or {})
        return taken

    async def _refuse_unlisted(self, turn: Turn, target: Target, upstream: Upstream) -> None:
        """Refuse what nothing is known of: it may be what is denied, by a name that its server takes for the same.

        Raises:
            PermissionDenied: Its server does not list it.
            UpstreamError: Its server lists nothing, because it is down.
        """
        if not upstream.status().ready:
            await upstream.session(self._servers.client(turn.ctx, turn.caller))
        raise PermissionDenied(
            f"{target.selected_by} is not among what the MCP server {target.server} lists.",
            hint="With a token whose tools deny something, and on a read-only host, only what is listed can be used.",
        )

    def _begun(
        self,
        turn: Turn,
        target: Target,
        params: Json,
        subject: Subject,
        upstream: Upstream,
        *,
        work: Work | None,
    ) -> tuple[Conversation, Callable[[], Coroutine[Any, Any, Json]]]:
        """The conversation with the call's client, and what makes the call."""
        ctx, masks = turn.ctx, turn.record.redactor
        clock = CallClock(turn.active.config.limits.command_timeout)
        voice = Voice(target.server, alone(ctx) is not None, masks.structure if masks else lambda value: value)
        level = wanted_level(ctx) if is_modern(ctx) else self._levels.of(ctx)
        conversation = (DeferredConversation if is_modern(ctx) else Conversation)(ctx, voice, level, clock)

        async def ask(session: Session) -> Json:
            request = params
            if level is not None and session.catalogue.protocol_version in MODERN_PROTOCOL_VERSIONS:
                request = {**params, "_meta": {**(params.get("_meta") or {}), LOG_LEVEL_META_KEY: level}}
            result = await session.request(target.method, request, conversation)
            if not is_modern(ctx):
                result = await answered_here(session, target.method, request, conversation, result)
            elif is_input_required(result) and isinstance(result.get("requestState"), str):
                result = {**result, "requestState": self._pending.seal(subject, result["requestState"])}
            return masks.structure(result) if masks else result

        async def run() -> Json:
            with self._runner.place(turn.caller), room(ctx), self._counted(target):
                with self._runner.sidecar.work.track(turn.caller, Permission.CALL, target.selected_by):
                    async with clock.running():
                        client = self._servers.client(ctx, turn.caller)
                        session = await upstream.session(client, conversation.capabilities)
                        self._servers.asked(ctx, upstream)
                        await self._levels.ensure(upstream, session, client, level)
                        return await (ask(session) if work is None else work())
                raise self._runner.cut(turn.caller, Permission.CALL, target.selected_by)

        return conversation, run

    @contextlib.contextmanager
    def _counted(self, target: Target) -> Iterator[None]:
        if target.read_only:
            yield
            return
        self._changing[target.selected_by] += 1
        try:
            yield
        finally:
            self._changing[target.selected_by] -= 1
            if not self._changing[target.selected_by]:
                # Else every tool there ever was would stay.
                del self._changing[target.selected_by]

    def _enforce(self, active: Active) -> None:
        """End what a host does no more that has become read-only, or whose policy can't be used."""
        if self._changing and (active.fault is not None or active.config.policy.read_only):
            self._runner.sidecar.work.cut(lambda item: item.tool in self._changing)

    async def _next(self, call: PendingCall) -> Json:
        """What becomes of the call first: its result, or questions to the client."""
        conversation, changed = call.conversation, asyncio.Event()
        deferred = conversation if isinstance(conversation, DeferredConversation) else None
        ended: Callable[[object], None] = lambda _: changed.set()  # noqa: E731 - to be taken away again
        call.task.add_done_callback(ended)
        if deferred is not None:
            deferred.on_asked = changed.set
            if deferred.questions:
                changed.set()
        try:
            await _until(call.task, changed)
        finally:
            call.task.remove_done_callback(ended)
            if deferred is not None:
                deferred.on_asked = None
        if deferred is None:
            return call.task.result()
        if call.task.done():
            return call.task.result()
        requests = {name: question.request for name, question in deferred.questions.items()}
        return {"resultType": "input_required", "inputRequests": requests, "requestState": self._pending.hold(call)}


def check(turn: Turn, target: Target) -> None:
    """Let a request go to its server.

    Raises:
        PermissionDenied: The token may not send it.
        PolicyDenied: The host's policy forbids it.
    """
    active, caller = turn.active, turn.caller
    if Permission.CALL not in caller.permissions:
        raise PermissionDenied(f"The token does not have the permission {Permission.CALL.value}.")
    if not selected(caller.tools, target.selected_by):
        raise not_selected(target.selected_by)
    if active.fault is not None:
        raise PolicyDenied(
            "All is denied, because the host's policy can't be used.", hint="Ask the host's owner to mend spec.policy."
        )
    if active.config.policy.read_only and not target.read_only and target.listed:
        raise PolicyDenied(f"This host is read-only, and {target.selected_by} may change something.")


async def _until(task: "asyncio.Task[Json]", changed: asyncio.Event) -> None:
    """Wait for a change; cancelled, cancel the task and wait until its server was told."""
    try:
        await changed.wait()
    except asyncio.CancelledError:
        task.cancel()
        # The SDK cancels through AnyIO, which cancels again at every further await.
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("A cancelled call failed: %r", error)
        raise


def _note(record: Record, result: Json) -> None:
    if is_input_required(result):
        record.decision, record.outcome = "ask", "input_required"
    else:
        record.outcome = TOOL_ERROR if result.get("isError") is True else "ok"


def _failed(error: FairleadError, turn: Turn, target: Target) -> Json:
    host = turn.active.config.name
    if target.is_call:
        return schema.failed(error, host)
    described = schema.described_error(error, host)
    raise MCPError(code=types.INTERNAL_ERROR, message=f"{error.message} {error.hint}".strip(), data=described)
