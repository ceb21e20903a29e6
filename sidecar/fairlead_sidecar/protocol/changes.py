"""Telling clients that what they see has changed, each of them only when it has for them."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol.caller import Callers, Context, alone
from fairlead_sidecar.protocol.listing import KINDS, Kind, fingerprint
from fairlead_sidecar.protocol.servers import Servers
from fairlead_sidecar.protocol.subscriptions import Subscriptions, Watch, may_watch
from fairlead_sidecar.reload import Active

logger = logging.getLogger(__name__)

MAX_STREAMS = 1000
"""Subscriptions that may be open at once."""
MAX_OF_OWNER = 64
DEBOUNCE = 0.05
"""Seconds after a change of an upstream server in which others may follow."""
SECONDS = 5.0
"""How long a client may take to accept a notification; it then misses it."""
_EVENTS: dict[Kind, ServerEvent] = {
    "tools": ToolsListChanged(),
    "prompts": PromptsListChanged(),
    "resources": ResourcesListChanged(),
}


@dataclass(eq=False)
class _Watcher:
    """A client that wants to know: a session of the handshake protocols, or a subscription of the modern one."""

    caller: Caller
    server: str | None
    """The upstream server that it sees alone; None: it sees all that the host has."""
    tell: Callable[[Kind], Awaitable[None]]
    seen: dict[Kind, str] = field(default_factory=dict)


class Changes:
    """Compares what each client sees after every change of the configuration with what it saw before."""

    def __init__(self, callers: Callers, servers: Servers, subscriptions: Subscriptions) -> None:
        self._callers = callers
        self._servers = servers
        self._subscriptions = subscriptions
        self._comparing: asyncio.TimerHandle | None = None
        self._sessions: dict[Connection, _Watcher] = {}
        self._streams: set[_Watcher] = set()
        self._telling: set[asyncio.Task[None]] = set()
        callers.sidecar.on_active.append(lambda _: self._changed())
        callers.sidecar.upstreams.on_change.append(self._changed_soon)

    def initialized(self, ctx: Context) -> None:
        """Handshake protocols: tell this session from now on, until it ends."""
        active, caller = self._callers.who(ctx)
        if caller.is_probe:
            return
        connection = ctx.session._connection  # noqa: SLF001 - nothing public stands for the session and tells its end
        # A client may say that it is ready as often as it likes.
        if connection in self._sessions:
            return
        session = ctx.session
        self._sessions[connection] = self._watcher(active, caller, alone(ctx), lambda kind: _notify(session, kind))
        connection.exit_stack.callback(self._sessions.pop, connection, None)

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Modern protocol: one subscription, until its stream ends."""
        active, caller = self._callers.who(ctx)
        of_owner = sum(stream.caller.owner == caller.owner for stream in self._streams)
        if caller.is_probe or len(self._streams) >= MAX_STREAMS or of_owner >= MAX_OF_OWNER:
            raise MCPError(code=types.INTERNAL_ERROR, message="Too many subscriptions are open; end some of them.")
        bus = InMemorySubscriptionBus()
        watcher = self._watcher(active, caller, alone(ctx), lambda kind: bus.publish(_EVENTS[kind]))
        self._streams.add(watcher)
        try:
            # What will never come is not promised.
            uris = await self._watched(ctx, caller, watcher, bus, params.notifications.resource_subscriptions or [])
            wanted = params.notifications.model_copy(update={"resource_subscriptions": uris or None})
            return await ListenHandler(bus)(ctx, params.model_copy(update={"notifications": wanted}))
        finally:
            self._streams.discard(watcher)
            self._subscriptions.end(watcher)

    async def _watched(
        self, ctx: Context, caller: Caller, watcher: _Watcher, bus: InMemorySubscriptionBus, uris: list[str]
    ) -> list[str]:
        """Those of the resources that are watched from now on: files are not, nor what a server does not watch."""

        async def tell(uri: str) -> None:
            await bus.publish(ResourceUpdated(uri))

        watched = []
        for uri in uris:
            found = self._servers.route(ctx, uri)
            if found is not None and self._subscriptions.supported(found[0]) and may_watch(caller, found[0]):
                watch = Watch(watcher, self._servers.client(ctx, caller), caller, *found, uri, tell)
                with contextlib.suppress(MCPError, FairleadError):
                    await self._subscriptions.add(watch)
                    watched.append(uri)
        return watched

    def _watcher(
        self, active: Active, caller: Caller, server: str | None, tell: Callable[[Kind], Awaitable[None]]
    ) -> _Watcher:
        return _Watcher(caller, server, tell, fingerprint(active, caller, self._servers.directory, server))

    def _changed_soon(self) -> None:
        """After a change of an upstream server: what comes together is told together."""
        if self._comparing is None:
            self._comparing = asyncio.get_running_loop().call_later(DEBOUNCE, self._changed)

    def _changed(self) -> None:
        if self._comparing is not None:
            self._comparing.cancel()
            self._comparing = None
        active = self._callers.sidecar.active
        try:
            if active is not None:
                self._compare(active)
        except Exception:  # what clients are told of a configuration must not keep it from coming into force
            logger.exception("The clients could not be told of a change")

    def _compare(self, active: Active) -> None:
        # What is seen depends on nothing of the caller but its permissions and tools.
        known: dict[object, dict[Kind, str]] = {}
        directory = self._servers.directory
        for watcher in (*self._sessions.values(), *self._streams):
            grants = active.grants
            caller = grants.current(watcher.caller) or grants.of_owner(watcher.caller.owner)
            key = (frozenset(caller.permissions), caller.tools, watcher.server) if caller else None
            if key not in known:
                known[key] = fingerprint(active, caller, directory, watcher.server)
            before, watcher.seen = watcher.seen, known[key]
            changed = [kind for kind in KINDS if before[kind] != watcher.seen[kind]]
            # Who lost everything is cut off, not informed.
            if changed and caller is not None:
                self._tell(watcher, changed)

    def _tell(self, watcher: _Watcher, changed: list[Kind]) -> None:
        async def tell() -> None:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
                async with asyncio.timeout(SECONDS):
                    for kind in changed:
                        await watcher.tell(kind)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("A client could not be told of a change: %r", error)


async def _notify(session: ServerSession, kind: Kind) -> None:
    if kind == "tools":
        await session.send_tool_list_changed()
    elif kind == "prompts":
        await session.send_prompt_list_changed()
    else:
        await session.send_resource_list_changed()
