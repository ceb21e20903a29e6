"""The sessions that single clients have with one server (isolation PerSession)."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fairlead_sidecar.upstream.errors import TooManySessions, UpstreamError
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.spec import Json

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 600.0
"""Seconds after which a session is ended that nobody uses."""
MAX_SESSIONS = 16
"""Of one server."""
CLOSE_TIMEOUT = 10.0
"""Seconds that ending one may take."""

Open = Callable[[str, Json | None], AbstractAsyncContextManager[UpstreamSession]]


class PrivateSessions:
    """Opened at a client's first request, ended with the client or when idle.

    Args:
        server: The server's name.
        open_: Opens one for a client with these capabilities.
    """

    def __init__(self, server: str, open_: Open) -> None:
        self._server = server
        self._open = open_
        self._opened: dict[str, asyncio.Future[UpstreamSession]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def get(self, client: str, capabilities: Json | None) -> UpstreamSession:
        """The client's session, opened where there is none.

        Raises:
            UpstreamError: It can't be opened.
        """
        if client not in self._tasks:
            if len(self._tasks) >= MAX_SESSIONS:
                raise TooManySessions(f"{MAX_SESSIONS} clients have a session with MCP server {self._server} already.")
            self._opened[client] = asyncio.get_running_loop().create_future()
            self._tasks[client] = asyncio.create_task(self._keep(client, capabilities, self._opened[client]))
        # Shielded: others may wait for the same one.
        return await asyncio.shield(self._opened[client])

    async def end(self, client: str) -> None:
        """End the client's session, if it has one."""
        task = self._tasks.get(client)
        if task is not None:
            await _ended({task})

    async def close(self) -> None:
        """End all."""
        await _ended(set(self._tasks.values()))

    async def _keep(self, client: str, capabilities: Json | None, opened: asyncio.Future[UpstreamSession]) -> None:
        try:
            async with self._open(client, capabilities) as session:
                opened.set_result(session)
                await _until_idle(session)
        except UpstreamError as error:
            logger.warning("MCP server %s: a client's session: %s: %s", self._server, error.reason, error.message)
            if not opened.done():
                opened.set_exception(error)
        finally:
            if not opened.done():
                opened.set_exception(UpstreamError(f"The session with MCP server {self._server} was ended."))
            opened.exception()
            self._tasks.pop(client)
            self._opened.pop(client)


async def _until_idle(session: UpstreamSession) -> None:
    ended = asyncio.create_task(session.ended())
    try:
        while not ended.done():
            left = session.last_used + IDLE_TIMEOUT - time.monotonic()
            if left <= 0 and not session.busy:
                return
            await asyncio.wait({ended}, timeout=max(left, 1.0))
    finally:
        ended.cancel()


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
