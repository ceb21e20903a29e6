"""The MCP sessions of the handshake protocols: counted, and ended with the token they belong to."""

from collections.abc import Set as AbstractSet

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from fairlead_sidecar.access.grants import Caller


def session_user(caller: Caller) -> AuthenticatedUser:
    """The user that the SDK binds a session to: nobody else can use it, a rotated token of the same owner can."""
    return AuthenticatedUser(AccessToken(token="", client_id=caller.owner, scopes=[]))


class Sessions:
    """A view on the SDK's session manager, which has no public way to count or end sessions."""

    def __init__(self) -> None:
        self._manager: StreamableHTTPSessionManager | None = None

    def attach(self, manager: StreamableHTTPSessionManager) -> None:
        """Look at this manager from now on."""
        self._manager = manager

    def count(self) -> int:
        """How many sessions are open."""
        if self._manager is None:
            return 0
        return len(self._manager._server_instances)  # noqa: SLF001 - no public way

    def owner(self, session_id: str) -> str | None:
        """The owner of an open session; None where there is no such session."""
        bound = self._manager._session_owners.get(session_id) if self._manager else None  # noqa: SLF001 - as above
        return None if bound is None else bound["client_id"]

    async def keep(self, owners: AbstractSet[str]) -> None:
        """End every session whose owner is not among `owners`."""
        if self._manager is None:
            return
        instances, bound = self._manager._server_instances, self._manager._session_owners  # noqa: SLF001 - as above
        for session_id, transport in list(instances.items()):
            owner = bound.get(session_id)
            if owner is None or owner["client_id"] not in owners:
                await self._manager._discard_session(session_id, transport)  # noqa: SLF001 - as above
