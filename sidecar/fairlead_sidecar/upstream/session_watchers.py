"""Which clients of a session watch which resources: the server is asked for the first and the last one only."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream.errors import NotResponding, UpstreamError
from fairlead_sidecar.upstream.session_listen import Listening
from fairlead_sidecar.upstream.spec import Json

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
TIMEOUT = 15.0
"""Seconds that the server has to answer."""
Subscribers = Mapping[str, set[str | None]]
"""URI -> clients."""


class Watchers:
    """See the module.

    Args:
        request: Sends a request to the server.
    """

    def __init__(self, request: Callable[[str, Json | None], Awaitable[Json]]) -> None:
        self.listening: Listening | None = None
        """The modern protocol's way to watch; None: each resource has a request of its own."""
        self._request = request
        self._clients: dict[str, set[str | None]] = {}
        self._one_at_a_time = asyncio.Lock()

    def all(self) -> Subscribers:
        """Who watches what."""
        return {uri: set(clients) for uri, clients in self._clients.items()}

    async def request(self, method: str, params: Json | None, client: str | None) -> Json:
        """Answer a client's subscription, or the end of one; see `spec.Session.request`."""
        uri = (params or {}).get("uri")
        if not isinstance(uri, str):
            return await self._request(method, params)
        async with self._one_at_a_time:
            clients = self._clients.get(uri, set())
            after = clients | {client} if method == SUBSCRIBE else clients - {client}
            result = await self._ask(method, params, uri) if bool(after) != bool(clients) else {}
            if after:
                self._clients[uri] = after
            else:
                self._clients.pop(uri, None)
            return result

    async def restore(self, subscribers: Subscribers) -> None:
        """Watch what an earlier session has watched, as far as the server lets us."""
        for uri, clients in subscribers.items():
            for client in clients:
                with suppress(MCPError, UpstreamError):
                    await self.request(SUBSCRIBE, {"uri": uri}, client)

    async def forget(self, client: str) -> None:
        """Watch nothing any more for a client that has gone."""
        for uri in [uri for uri, clients in self._clients.items() if client in clients]:
            with suppress(MCPError, UpstreamError):
                await self.request(UNSUBSCRIBE, {"uri": uri}, client)

    async def _ask(self, method: str, params: Json | None, uri: str) -> Json:
        # Whoever comes next waits for it.
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._ask_server(method, params, uri)
        except TimeoutError:
            raise NotResponding(f"The server did not answer {method} within {TIMEOUT:g} s.") from None

    async def _ask_server(self, method: str, params: Json | None, uri: str) -> Json:
        if self.listening is None:
            return await self._request(method, params)
        uris = set(self._clients) | {uri} if method == SUBSCRIBE else set(self._clients) - {uri}
        await self.listening.watch(tuple(sorted(uris)))
        return {}
