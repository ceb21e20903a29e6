"""All upstream servers of a host, as the configuration wants them."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from fairlead_sidecar.config import HttpServer, McpServer, SecretValue, SidecarConfig, SshServer, StdioServer
from fairlead_sidecar.statusz import McpServerStatus
from fairlead_sidecar.upstream.errors import LinkDown, UpstreamError
from fairlead_sidecar.upstream.server import UpstreamServer
from fairlead_sidecar.upstream.spec import Json, OpenWire

logger = logging.getLogger(__name__)

OpenerOf = Callable[[McpServer], OpenWire]


class UpstreamServers:
    """See `spec.Upstreams`.

    Tell it the configuration (`configure`, also when the content of Secrets may have changed) and whether the link is
    up (`link_up`, `link_down`); both return at once.

    Args:
        opener_of: Gives what opens a connection to a server.
    """

    def __init__(self, opener_of: OpenerOf) -> None:
        self.on_change: list[Callable[[], None]] = []
        self.on_notification: list[Callable[[str, str | None, str, Json | None], Awaitable[None]]] = []
        self._opener_of = opener_of
        self._servers: dict[str, UpstreamServer] = {}
        self._fingerprints: dict[str, str] = {}
        self._why_down: UpstreamError | None = LinkDown("There is no SSH connection to the host yet.")
        self._ending: set[asyncio.Task[None]] = set()

    def all(self) -> Mapping[str, UpstreamServer]:
        """See `spec.Upstreams`."""
        return self._servers

    def statuses(self) -> tuple[McpServerStatus, ...]:
        """How all stand, in the configuration's order."""
        return tuple(server.status() for server in self._servers.values())

    def configure(self, config: SidecarConfig) -> None:
        """Have the servers that the configuration wants: only those that changed are started anew."""
        fingerprints = {server.name: fingerprint(server, config) for server in config.mcp_servers}
        if fingerprints == self._fingerprints and list(fingerprints) == list(self._servers):
            return
        before, self._servers = self._servers, {}
        for spec in config.mcp_servers:
            kept = before.get(spec.name)
            if kept is not None and self._fingerprints.get(spec.name) == fingerprints[spec.name]:
                self._servers[spec.name] = before.pop(spec.name)
                continue
            self._servers[spec.name] = UpstreamServer(spec, self._opener_of(spec), self._changed, self._notified)
        self._fingerprints = fingerprints
        for name, server in before.items():
            self._end(server, UpstreamError(f"MCP server {name} was removed, or changed."))
        if self._why_down is None:
            for server in self._servers.values():
                server.start()
        self._changed()

    def link_up(self) -> None:
        """Start all servers: there is a connection to the host."""
        if self._why_down is not None:
            self._why_down = None
            for server in self._servers.values():
                server.start()

    def link_down(self, message: str) -> None:
        """End all sessions: the connection to the host is lost.

        Args:
            message: What is wrong with it.
        """
        if self._why_down is None:
            self._why_down = LinkDown(message)
            for server in self._servers.values():
                self._end(server, self._why_down)

    async def close(self) -> None:
        """End everything, within a bound."""
        self._why_down = LinkDown("Fairlead is stopping.")
        for server in self._servers.values():
            self._end(server, self._why_down)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, server: UpstreamServer, why: UpstreamError) -> None:
        # It fails its calls here and now; only the waiting goes on beside.
        task = asyncio.create_task(server.stop(why))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _changed(self) -> None:
        for listener in self.on_change:
            listener()

    async def _notified(self, server: str, client: str | None, method: str, params: Json | None) -> None:
        for listener in self.on_notification:
            await listener(server, client, method, params)


def fingerprint(server: McpServer, config: SidecarConfig) -> str:
    """Changes with everything that a running server was started with, the content of its Secrets too."""
    parts = [server.model_dump_json().encode()]
    if isinstance(server.server, StdioServer):
        parts.append(config.environment.model_dump_json().encode())
    for file in sorted(_files(server, config)):
        try:
            parts.append(file.read_bytes())
        except OSError:
            parts.append(b"")
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _files(server: McpServer, config: SidecarConfig) -> Iterator[Path]:
    kind = server.server
    values: list[SecretValue | None] = []
    if isinstance(kind, StdioServer):
        values = [variable.secret for variable in (*kind.variables, *config.environment.variables)]
    elif isinstance(kind, HttpServer):
        values = [header.secret for header in kind.headers]
    elif isinstance(kind, SshServer):
        directory = kind.auth.directory
        yield from (file for file in (directory.iterdir() if directory.is_dir() else ()) if file.is_file())
    yield from (value.file for value in values if value is not None)
