"""From which level on upstream servers tell what they do: as the most talkative of their clients wants it."""

import asyncio
import contextlib
import logging

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar.protocol.caller import Context
from fairlead_sidecar.protocol.notices import Notices
from fairlead_sidecar.protocol.servers import Servers
from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.spec import Session, Upstream

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""How long a server may take to accept a level."""
_EVERYBODY = "everybody"


class ServerLevels:
    """Tells servers of the handshake protocols; in the modern one each request says it."""

    def __init__(self, servers: Servers, notices: Notices) -> None:
        self._servers = servers
        self._notices = notices
        self._told: dict[tuple[str, str], tuple[object, types.LoggingLevel]] = {}
        """What each server was told for all clients, or for one, and in which life of it."""
        self._telling: set[asyncio.Task[None]] = set()
        notices.on_level.append(self.renew)

    def of(self, ctx: Context) -> types.LoggingLevel:
        """From which level on the session of a message is told."""
        return self._notices.level(ctx)

    def renew(self) -> None:
        """Tell the servers that all clients share: a client has set its level, or a server was started."""
        for upstream in self._servers.all().values():
            due = upstream.spec.isolation == "Shared" and upstream.status().ready
            if due and self._due(upstream, _EVERYBODY, self._notices.most_verbose(upstream.spec.name)):
                task = asyncio.create_task(self._tell_all(upstream))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

    async def ensure(self, upstream: Upstream, session: Session, client: str, level: types.LoggingLevel | None) -> None:
        """Tell a server with a session for each client what this one wants, before it is asked for something."""
        if upstream.spec.isolation == "PerSession" and self._notices.most_verbose(upstream.spec.name) is not None:
            await self._tell(upstream, session, client, level)

    def _due(self, upstream: Upstream, client: str, level: types.LoggingLevel | None) -> bool:
        known = self._told.get((upstream.spec.name, client))
        return level is not None and known != (upstream.status().since, level)

    async def _tell_all(self, upstream: Upstream) -> None:
        with contextlib.suppress(UpstreamError):
            session = await upstream.session(_EVERYBODY)
            await self._tell(upstream, session, _EVERYBODY, self._notices.most_verbose(upstream.spec.name))

    async def _tell(self, upstream: Upstream, session: Session, client: str, level: types.LoggingLevel | None) -> None:
        catalogue = session.catalogue
        modern = catalogue.protocol_version in MODERN_PROTOCOL_VERSIONS
        if level is None or modern or "logging" not in catalogue.capabilities or not self._due(upstream, client, level):
            return
        if client != _EVERYBODY:
            self._forget_others()
        self._told[upstream.spec.name, client] = upstream.status().since, level
        try:
            async with asyncio.timeout(SECONDS):
                await session.request("logging/setLevel", {"level": level})
        except (MCPError, UpstreamError, TimeoutError) as error:
            logger.warning("MCP server %s took no log level: %s", upstream.spec.name, type(error).__name__)

    def _forget_others(self) -> None:
        """Keep no more than the newest."""
        while len(self._told) > 1000:
            del self._told[next(iter(self._told))]
