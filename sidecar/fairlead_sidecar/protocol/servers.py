"""What a caller may see of the upstream servers, and how a client is named to them."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterable, Mapping

from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import Permission
from fairlead_sidecar.protocol.addressing import Directory, Entry
from fairlead_sidecar.protocol.caller import Callers, Context, alone
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import client_of
from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.names import SEPARATOR
from fairlead_sidecar.upstream.spec import Upstream

CLIENT_KEY = "fairlead.client"
"""Where a session's state has the name of its client."""
_ASKED_KEY = "fairlead.asked"
ROOTS_CHANGED = "notifications/roots/list_changed"


class Servers:
    """The upstream servers, as clients are shown them."""

    def __init__(self, callers: Callers) -> None:
        self._sidecar = callers.sidecar
        self._directory = Directory()
        self._stale = True
        self._parting: set[asyncio.Task[None]] = set()
        self._sidecar.on_active.append(lambda _: self._changed())
        self._sidecar.upstreams.on_change.append(self._changed)

    def _changed(self) -> None:
        self._stale = True

    def all(self) -> Mapping[str, Upstream]:
        """The servers by name, in the configuration's order."""
        return self._sidecar.upstreams.all()

    @property
    def directory(self) -> Directory:
        """What they offer now."""
        active = self._sidecar.active
        if self._stale and active is not None:
            self._stale = False
            catalogues = {name: upstream.catalogue for name, upstream in self.all().items()}
            self._directory = Directory.of(catalogues, f"ssh://{active.config.name}/", self._directory)
        return self._directory

    def client(self, ctx: Context, caller: Caller) -> str:
        """How the client is named to servers that keep a session for each: by its session, or its token's owner."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return client_of(caller.owner)
        connection = ctx.session._connection  # noqa: SLF001 - nothing public stands for the session and tells its end
        name: str | None = connection.state.get(CLIENT_KEY)
        if name is None:
            name = connection.state[CLIENT_KEY] = f"session {secrets.token_hex(8)} of {caller.owner}"
            connection.exit_stack.callback(self._gone, name)
        return name

    def route(self, ctx: Context, uri: str) -> tuple[str, str] | None:
        """The server of a URI as this client knows it, and the URI there; None: it is our own, or nobody's."""
        server, active = alone(ctx), self._sidecar.active
        if server is not None:
            return server, uri
        if active is None or uri.startswith(f"ssh://{active.config.name}/"):
            return None
        return self.directory.route(uri)

    async def roots_changed(self, ctx: Context) -> None:
        """Handshake protocols: let the servers know that keep a session for this client."""
        connection = ctx.session._connection  # noqa: SLF001 - as in `client`
        name: str | None = connection.state.get(CLIENT_KEY)
        for server in connection.state.get(_ASKED_KEY, ()):
            upstream = self.all().get(server)
            if name is not None and upstream is not None and upstream.serves(name):
                with contextlib.suppress(UpstreamError):
                    await (await upstream.session(name)).notify(ROOTS_CHANGED, None)

    def asked(self, ctx: Context, upstream: Upstream) -> None:
        """Note that this client has a session of its own with a server."""
        if upstream.spec.isolation == "PerSession" and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            connection = ctx.session._connection  # noqa: SLF001 - as in `client`
            connection.state.setdefault(_ASKED_KEY, set()).add(upstream.spec.name)

    def _gone(self, client: str) -> None:
        for upstream in self.all().values():
            task = asyncio.create_task(upstream.client_gone(client))
            self._parting.add(task)
            task.add_done_callback(self._parting.discard)


def tools(directory: Directory, active: Active, caller: Caller, server: str | None) -> list[Entry]:
    """The tools that the caller sees, of all servers or one."""
    return [entry for entry in _of(directory.tools, server) if _sees(caller, entry.name) and permitted(active, entry)]


def prompts(directory: Directory, caller: Caller, server: str | None) -> list[Entry]:
    """The prompts that it sees."""
    return [entry for entry in _of(directory.prompts, server) if _sees(caller, entry.name)]


def resources(directory: Directory, caller: Caller, server: str | None) -> list[Entry]:
    """The resources that it sees."""
    return [entry for entry in _of(directory.resources, server) if _sees(caller, rest_of(entry.server))]


def templates(directory: Directory, caller: Caller, server: str | None) -> list[Entry]:
    """The resource templates that it sees."""
    return [entry for entry in _of(directory.templates, server) if _sees(caller, rest_of(entry.server))]


def rest_of(server: str) -> str:
    """The name that stands, among those of tools, for what a server has beside tools and prompts."""
    return server + SEPARATOR


def permitted(active: Active, entry: Entry) -> bool:
    """Whether the host's policy lets this tool be called."""
    return active.fault is None and (not active.config.policy.read_only or entry.read_only)


def _of(entries: Mapping[str, Entry], server: str | None) -> Iterable[Entry]:
    return (entry for entry in entries.values() if server is None or entry.server == server)


def _sees(caller: Caller, name: str) -> bool:
    # The probe has no permissions: whether a host is Ready must not depend on what its servers list.
    return Permission.CALL in caller.permissions and selected(caller.tools, name)
