"""The sessions that single clients have with one server (isolation PerSession)."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fairlead_sidecar.upstream.errors import TooManySessions, UpstreamError
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.spec import Json

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 600.0
"""Seconds after which a session is ended that nobody uses."""
MAX_SESSIONS = 16
"""Of one server; where all are taken, the owner that has most of them gives way to the others."""

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
        self._held: dict[str, _Held] = {}

    def has(self, client: str) -> bool:
        """Whether there is one for the client."""
        held = self._held.get(client)
        return held is not None and not held.over

    async def get(self, client: str, capabilities: Json | None) -> UpstreamSession:
        """The client's session, opened where there is none.

        Raises:
            UpstreamError: It can't be opened.
        """
        if not self.has(client):
            self._held.pop(client, None)
            if len(self._held) >= MAX_SESSIONS:
                self._make_room(_owner(client))
            held = self._held[client] = _Held()
            held.task = asyncio.create_task(self._keep(client, capabilities, held))
        # Shielded: others may wait for the same one.
        return await asyncio.shield(self._held[client].opened)

    def end(self, client: str, why: UpstreamError) -> set[asyncio.Task[None]]:
        """End the client's session, if it has one.

        Returns:
            The tasks that do so.
        """
        held = self._held.pop(client, None)
        return {held.end(why)} if held is not None else set()

    def end_all(self, why: UpstreamError) -> set[asyncio.Task[None]]:
        """End all; see `end`."""
        return {task for client in list(self._held) for task in self.end(client, why)}

    def _make_room(self, owner: str) -> None:
        """Let an owner have one more, at the cost of one that has more than it would then have.

        Raises:
            TooManySessions: There is none such, or all of its sessions are busy.
        """
        held = Counter(_owner(client) for client in self._held)
        ((most, count),) = held.most_common(1)
        idle = {
            client: session.last_used
            for client, one in self._held.items()
            if _owner(client) == most and (session := one.session) is not None and not session.busy
        }
        if count <= held[owner] + 1 or not idle:
            raise TooManySessions(f"{MAX_SESSIONS} clients have a session with it already.")
        why = UpstreamError("The session was idle, and a client of a token with fewer of them needed its place.")
        self.end(min(idle, key=lambda client: idle[client]), why)

    async def _keep(self, client: str, capabilities: Json | None, held: "_Held") -> None:
        try:
            async with self._open(client, capabilities) as session:
                # A long start is no idleness.
                session.last_used = time.monotonic()
                held.opened.set_result(session)
                await _until_idle(session)
        except UpstreamError as error:
            logger.warning("MCP server %s: a client's session: %s: %s", self._server, error.reason, error.message)
            held.fail(error)
        except Exception:  # as with the session of all
            logger.exception("A client's session with MCP server %s failed", self._server)
        finally:
            held.fail(UpstreamError("The session was ended."))
            if self._held.get(client) is held:
                del self._held[client]


class _Held:
    """One session, opened or not yet."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.opened: asyncio.Future[UpstreamSession] = asyncio.get_running_loop().create_future()

    @property
    def over(self) -> bool:
        return self.opened.done() and (self.opened.exception() is not None or self.opened.result().over)

    @property
    def session(self) -> UpstreamSession | None:
        """The session; None where it is not open."""
        return self.opened.result() if self.opened.done() and self.opened.exception() is None else None

    def fail(self, why: UpstreamError) -> None:
        if not self.opened.done():
            self.opened.set_exception(why)
            # Nobody may be waiting any more.
            self.opened.exception()

    def end(self, why: UpstreamError) -> asyncio.Task[None]:
        self.fail(why)
        if self.opened.exception() is None:
            self.opened.result().end(why)
        self.task.cancel()
        return self.task


def _owner(client: str) -> str:
    """Whose it is; see `spec.Upstream.session`."""
    return client.rpartition(" ")[2]


async def _until_idle(session: UpstreamSession) -> None:
    ended = asyncio.create_task(session.ended())
    try:
        while not ended.done():
            left = session.last_used + IDLE_TIMEOUT - time.monotonic()
            # Who waits for news of a resource uses it as well.
            if left <= 0 and not session.busy and not session.watchers.all():
                return
            await asyncio.wait({ended}, timeout=max(left, 1.0))
    finally:
        ended.cancel()
