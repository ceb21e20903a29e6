"""The MCP sessions of the handshake protocols: counted, and ended with the token they belong to."""

import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import StreamableHTTPServerTransport
from starlette.datastructures import Headers
from starlette.types import Message, Send

from fairlead_sidecar.access.grants import Caller, Grants
from fairlead_sidecar.access.resumable import ResumableSessions

MAX_SESSIONS = 1000
"""Sessions that may be open at once; idle ones end after 75 minutes."""
MAX_OF_OWNER = 64
"""Sessions of one owner; beyond that a new one takes the place of its own that is idle for longest."""


class NoSession(Exception):
    """There is no place for another session; the message says why."""


def session_user(caller: Caller, server: str | None = None) -> AuthenticatedUser:
    """The user that the SDK binds a session to: nobody else can use it, a rotated token of the same owner can.

    Args:
        server: The upstream server at whose own endpoint the session is opened; it is of use only there.
    """
    return _user(caller.owner, server)


@functools.lru_cache(maxsize=256)
def _user(owner: str, server: str | None) -> AuthenticatedUser:
    return AuthenticatedUser(AccessToken(token="", client_id=owner, scopes=[], subject=server))


class Sessions:
    """A view on the SDK's session manager, which has no public way to count or end sessions."""

    def __init__(self) -> None:
        self._manager: ResumableSessions | None = None
        self._opening: Counter[str] = Counter()
        self._streaming: Counter[str] = Counter()
        self._last: dict[str, Caller] = {}
        """By session, who used it last, and from where."""
        self.on_evicted: Callable[[], None] = lambda: None
        """Called whenever an idle session makes room for another one of its owner."""

    def attach(self, manager: ResumableSessions) -> None:
        """Look at this manager from now on."""
        self._manager = manager

    def count(self) -> int:
        """How many sessions are open."""
        managed = len(self._manager._server_instances) if self._manager else 0  # noqa: SLF001 - no public way
        return managed + self._streaming.total()

    def owner(self, session_id: str) -> str | None:
        """The owner of an open session; None where there is no such session."""
        bound = self._manager._session_owners.get(session_id) if self._manager else None  # noqa: SLF001 - as above
        return None if bound is None else bound["client_id"]

    def used(self, session_id: str | None, caller: Caller) -> None:
        """A session is used; one that is another's, or none, is not."""
        if session_id is not None and self.owner(session_id) == caller.owner:
            self._last[session_id] = caller

    def noting(self, caller: Caller, send: Send) -> Send:
        """A `send` for an answer that may open a session, to which that then counts as the session's first use."""

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.used(Headers(raw=message["headers"]).get("mcp-session-id"), caller)
            await send(message)

        return noted

    @contextlib.asynccontextmanager
    async def opening(self, caller: Caller) -> AsyncIterator[None]:
        """Open at most one session in the block.

        The operator's probe always finds a place, for Ready must not depend on what agents do.

        Raises:
            NoSession: All places are taken, and none of the caller's own sessions is idle.
        """
        self._opening[caller.owner] += 1
        try:
            while self._held(caller.owner) > MAX_OF_OWNER:
                await self._evict(caller.owner)
            if not caller.is_probe and self.count() + self._opening.total() > MAX_SESSIONS:
                raise NoSession("Too many sessions are open on this host; try again later.")
            yield
        finally:
            self._opening[caller.owner] -= 1
            self._opening += Counter()  # else every owner there ever was would stay

    @contextlib.asynccontextmanager
    async def streaming(self, caller: Caller) -> AsyncIterator[None]:
        """One session of HTTP+SSE, which lasts as long as the block.

        Raises:
            NoSession: As for `opening`.
        """
        async with self.opening(caller):
            self._streaming[caller.owner] += 1
        try:
            yield
        finally:
            self._streaming[caller.owner] -= 1
            self._streaming += Counter()  # as above

    def _held(self, owner: str) -> int:
        return len(self._of(owner)) + self._opening[owner] + self._streaming[owner]

    def _of(self, owner: str) -> list[tuple[str, StreamableHTTPServerTransport]]:
        if self._manager is None:
            return []
        instances = self._manager._server_instances  # noqa: SLF001 - as above
        return [(session, transport) for session, transport in instances.items() if self.owner(session) == owner]

    async def _evict(self, owner: str) -> None:
        idle = [
            (transport.idle_scope.deadline, session, transport)
            for session, transport in self._of(owner)
            if transport.idle_scope is not None and not transport._requests_in_flight  # noqa: SLF001 - as above
        ]
        if not idle or self._manager is None:
            raise NoSession(
                f"This token already has {MAX_OF_OWNER} sessions with requests under way; end some of them (DELETE)."
            )
        # The one that would time out first was idle for longest.
        _, session, transport = min(idle, key=lambda candidate: candidate[0])
        self.on_evicted()
        await self._manager._discard_session(session, transport)  # noqa: SLF001 - as above

    def cancel_abandoned(self, grace: float) -> None:
        """Cancel the calls whose client lost its connection `grace` seconds ago and did not come back."""
        if self._manager is not None:
            self._manager.cancel_abandoned(grace)

    async def keep(self, grants: Grants, servers: AbstractSet[str] = frozenset()) -> None:
        """End every session whose owner has no token in force, or none for where it was used last, or whose upstream
        server is not among `servers`."""
        if self._manager is None:
            return
        instances, bound = self._manager._server_instances, self._manager._session_owners  # noqa: SLF001 - as above
        owners = grants.owners()
        self._last = {session_id: caller for session_id, caller in self._last.items() if session_id in instances}
        for session_id, transport in list(instances.items()):
            owner, last = bound.get(session_id), self._last.get(session_id)
            server = None if owner is None else owner["subject"]
            gone = owner is None or owner["client_id"] not in owners or (last is not None and not grants.current(last))
            if gone or (server is not None and server not in servers):
                await self._manager._discard_session(session_id, transport)  # noqa: SLF001 - as above
