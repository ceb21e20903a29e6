"""Which clients watch which resources of upstream servers."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import mcp_types as types
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import Permission
from fairlead_sidecar.protocol.caller import Callers
from fairlead_sidecar.protocol.servers import Servers, rest_of
from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.session_inbox import Inbox
from fairlead_sidecar.upstream.spec import Json

logger = logging.getLogger(__name__)

MAX_OF_CLIENT = 256
"""Resources that one session, or one stream of the modern protocol, watches at most."""
MOST_WAITING = 64
"""Changes of one resource that wait for a slow client."""
UPDATED = "notifications/resources/updated"


@dataclass(frozen=True)
class Watch:
    """One client that wants to know when a resource changes."""

    watcher: object
    """The session or stream; it watches a resource once."""
    client: str
    """How servers know the client."""
    caller: Caller
    server: str
    uri: str
    """As its server knows it."""
    public: str
    """As the client knows it."""
    tell: Callable[[str], Awaitable[None]]
    inbox: Inbox = field(default_factory=lambda: Inbox(MOST_WAITING), compare=False)
    """What waits for a client that reads slowly: it must not hold up the others."""


class Subscriptions:
    """Has servers tell of changes while somebody wants to know, and passes that on."""

    def __init__(self, callers: Callers, servers: Servers) -> None:
        self._callers = callers
        self._servers = servers
        self._watches: dict[tuple[object, str, str], Watch] = {}
        self._ending: set[asyncio.Task[None]] = set()
        callers.sidecar.upstreams.on_notification.append(self._notified)

    def supported(self, server: str | None = None) -> bool:
        """Whether a server, or any of them, tells of changes."""
        chosen = (upstream for name, upstream in self._servers.all().items() if server in {None, name})
        return any(tells(upstream.catalogue.capabilities) for upstream in chosen)

    async def add(self, watch: Watch) -> None:
        """Watch a resource.

        Raises:
            MCPError: The server refuses, or too many are watched.
            UpstreamError: The server is not to be had.
        """
        key = watch.watcher, watch.server, watch.uri
        of_client = sum(other.watcher == watch.watcher for other in self._watches.values())
        if key not in self._watches and of_client >= MAX_OF_CLIENT:
            raise MCPError(types.INTERNAL_ERROR, f"At most {MAX_OF_CLIENT} resources can be watched at once.")
        await self._ask(watch, "resources/subscribe")
        self._watches[key] = watch

    async def remove(self, watcher: object, server: str, uri: str) -> None:
        """Watch it no more."""
        watch = self._watches.pop((watcher, server, uri), None)
        if watch is not None:
            watch.inbox.close()
        same = (other for other in self._watches.values() if (other.server, other.uri) == (server, uri))
        if watch is not None and not any(other.client == watch.client for other in same):
            with contextlib.suppress(UpstreamError, MCPError):
                await self._ask(watch, "resources/unsubscribe")

    def end(self, watcher: object) -> None:
        """A session or stream has ended."""
        for other, server, uri in [key for key in self._watches if key[0] == watcher]:
            task = asyncio.create_task(self.remove(other, server, uri))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _ask(self, watch: Watch, method: str) -> None:
        upstream = self._servers.all().get(watch.server)
        if upstream is None:
            raise UpstreamError("The host no longer has this MCP server.")
        # What a client that has gone has watched, its own session has forgotten with it.
        if method == "resources/unsubscribe" and not upstream.serves(watch.client):
            return
        session = await upstream.session(watch.client)
        await session.request(method, {"uri": watch.uri})

    async def _notified(self, server: str, client: str | None, method: str, params: Json | None) -> None:
        uri = (params or {}).get("uri")
        if method != UPDATED or not isinstance(uri, str):
            return
        for watch in list(self._watches.values()):
            if watch.server == server and client in {None, watch.client} and _covers(watch.uri, uri):
                caller = self._callers.current(watch.caller) or self._callers.of_owner(watch.caller)
                if caller is not None and may_watch(caller, server):
                    watch.inbox.put(partial(watch.tell, watch.public + uri.removeprefix(watch.uri)))


def tells(capabilities: Json) -> bool:
    """Whether a server with these capabilities tells of changes of resources."""
    resources = capabilities.get("resources")
    return isinstance(resources, dict) and resources.get("subscribe") is True


def may_watch(caller: Caller, server: str) -> bool:
    """Whether the caller may know of a server's resources."""
    return Permission.CALL in caller.permissions and selected(caller.tools, rest_of(server))


def _covers(watched: str, uri: str) -> bool:
    # The protocol lets servers name a part of what is watched.
    return uri == watched or uri.startswith(watched.removesuffix("/") + "/")
