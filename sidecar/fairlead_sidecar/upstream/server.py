"""One upstream server: started, watched, started again, with its sessions."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from typing import Any

from fairlead_sidecar.config import HttpServer, McpServer
from fairlead_sidecar.ssh.backoff import Backoff
from fairlead_sidecar.statusz import McpServerStatus
from fairlead_sidecar.upstream.errors import LinkDown, Starting, UpstreamError
from fairlead_sidecar.upstream.server_private import PrivateSessions
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import ProbeEnded, Setup
from fairlead_sidecar.upstream.session_watchers import Subscribers
from fairlead_sidecar.upstream.spec import Catalogue, Interaction, Json, OpenWire, Session

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to start it."""
STEADY = 60.0
"""Seconds that it must have worked for its next end to count as the first one."""
CLOSE_TIMEOUT = 10.0
"""Seconds that ending it may take."""
LOOK_INTERVAL = 30.0
"""Seconds between two looks at an HTTP server that nobody uses."""
MOST_CHARACTERS = 256
"""Of what a server says that it is called, in the status, which the API server keeps."""
RESTORE_TIMEOUT = 10.0
"""Seconds that a server that was started again has to take up the subscriptions of the one before."""
_STARTING = "It is being started."

OnNotification = Callable[[str, str | None, str, Json | None], Awaitable[None]]


class ClientSession:
    """A session as one client has it: what it asks for is counted as this client's."""

    def __init__(self, session: UpstreamSession, client: str) -> None:
        self._session = session
        self._client = client

    @property
    def catalogue(self) -> Catalogue:
        """See `spec.Session`."""
        return self._session.catalogue

    async def request(self, method: str, params: Json | None, interaction: Interaction | None = None) -> Json:
        """See `spec.Session`."""
        return await self._session.request(method, params, interaction, client=self._client)

    async def notify(self, method: str, params: Json | None) -> None:
        """See `spec.Session`."""
        await self._session.notify(method, params)


class UpstreamServer:
    """See `spec.Upstream`.

    Args:
        spec: The server as configured.
        open_wire: Opens a connection to it.
        on_change: Called when its status or its catalogue has changed.
        on_notification: Called with (server, client, method, params); see `Upstreams.on_notification`.
    """

    def __init__(
        self, spec: McpServer, open_wire: OpenWire, on_change: Callable[[], None], on_notification: OnNotification
    ) -> None:
        self.spec = spec
        self._open_wire = open_wire
        self._on_change = on_change
        self._on_notification = on_notification
        # The SSE transport is older than the modern protocol.
        self._may_be_modern = not (isinstance(spec.server, HttpServer) and spec.server.transport == "SSE")
        self._probe = self._may_be_modern
        self._session: UpstreamSession | None = None
        self._subscribers: Subscribers = {}
        self._fault: UpstreamError | None = LinkDown("There is no SSH connection to the host.")
        self._since = datetime.now(UTC)
        self._main: asyncio.Task[None] | None = None
        self._private = PrivateSessions(spec.name, self._open_private)

    @property
    def catalogue(self) -> Catalogue:
        """See `spec.Upstream`."""
        return self._session.catalogue if self._session is not None else Catalogue()

    def status(self) -> McpServerStatus:
        """See `spec.Upstream`."""
        catalogue, fault = self.catalogue, self._fault
        name, version = catalogue.server_info.get("name"), catalogue.server_info.get("version")
        return McpServerStatus(
            name=self.spec.name,
            ready=fault is None,
            reason=fault.reason if fault is not None else "Ready",
            message=f"{fault.message} {fault.hint}".strip() if fault is not None else "It works.",
            server_name=_told(name),
            server_version=_told(version),
            protocol_version=catalogue.protocol_version or None,
            tool_count=len(catalogue.tools),
            since=self._since,
        )

    async def session(self, client: str, capabilities: Json | None = None) -> Session:
        """See `spec.Upstream`."""
        session = self._session
        if session is None and not self._private.has(client):
            raise self._named(self._fault or Starting(_STARTING))
        if session is not None and self.spec.isolation == "Shared":
            return ClientSession(session, client)
        try:
            return ClientSession(await self._private.get(client, capabilities), client)
        except UpstreamError as error:
            raise self._named(error) from None

    def serves(self, client: str) -> bool:
        """See `spec.Upstream`."""
        return self._private.has(client) or (self._session is not None and self.spec.isolation == "Shared")

    async def client_gone(self, client: str) -> None:
        """See `spec.Upstream`."""
        await self._gone(self._private.end(client, UpstreamError("The client has gone.")))
        if self._session is not None:
            await self._session.watchers.forget(client)

    def start(self) -> None:
        """Keep it running from now on: the link is up."""
        if self._main is None:
            self._report(Starting(_STARTING))
            self._main = asyncio.create_task(self._keep())

    def stop(self, why: UpstreamError) -> Coroutine[Any, Any, None]:
        """End its sessions; calls that are under way fail at once.

        Returns:
            What waits, no longer than `CLOSE_TIMEOUT`, until all is ended.
        """
        ending = self._private.end_all(why)
        if self._session is not None:
            self._session.end(why)
        if self._main is not None:
            self._main.cancel()
            ending.add(self._main)
            self._main = None
        self._session = None
        self._report(why, expected=True)
        return self._gone(ending)

    async def _gone(self, tasks: set[asyncio.Task[None]]) -> None:
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            if late:
                logger.warning("MCP server %s could not be ended within %g s", self.spec.name, CLOSE_TIMEOUT)

    async def _keep(self) -> None:
        # It waits between half and the whole of what it is given.
        pauses = Backoff(first=FIRST_PAUSE * 2, cap=LONGEST_PAUSE)
        at_once = True
        while True:
            begun = time.monotonic()
            try:
                fault = await self._once()
            except ProbeEnded as error:
                # Some servers end at any request before the handshake: no fault of theirs, so no pause either.
                self._probe = False
                if at_once:
                    at_once = False
                    continue
                fault = error
            except UpstreamError as error:
                self._probe = self._may_be_modern
                fault = error
            except Exception as error:  # a fault in one server's session must show, and heal, like any other
                logger.exception("The session with MCP server %s failed", self.spec.name)
                fault = UpstreamError(f"The session failed: {type(error).__name__}.")
            self._down(fault)
            if time.monotonic() - begun > STEADY:
                pauses.reset()
                at_once = True
            await asyncio.sleep(pauses.next())

    async def _once(self) -> UpstreamError:
        """Start it and stay with it; why it ended."""
        async with open_session(self._open_wire, self._setup(None, None)) as session:
            # A server that is known not to be modern need not be asked again by each session.
            self._probe = session.modern
            with suppress(TimeoutError):
                async with asyncio.timeout(RESTORE_TIMEOUT):
                    await session.watchers.restore(self._subscribers)
            self._session = session
            self._report(None)
            logger.info(
                "MCP server %s is ready: %d tools, MCP %s",
                self.spec.name,
                len(session.catalogue.tools),
                session.catalogue.protocol_version,
            )
            try:
                return await self._stay(session)
            finally:
                self._subscribers = session.watchers.all()

    async def _stay(self, session: UpstreamSession) -> UpstreamError:
        while isinstance(self.spec.server, HttpServer) and not session.over:
            # Unlike a pipe, it tells nobody that it is no longer there.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL):
                    await session.ended()
            if not session.over and not session.busy:
                await session.look()
        return await session.ended()

    def _setup(self, client: str | None, capabilities: Json | None) -> Setup:
        async def notified(whom: str | None, method: str, params: Json | None) -> None:
            await self._on_notification(self.spec.name, client or whom, method, params)

        return Setup(
            server=self.spec.name,
            start_timeout=self.spec.start_timeout,
            probe=self._probe,
            capabilities=capabilities,
            on_catalogue=self._on_change if client is None else lambda: None,
            on_notification=notified,
        )

    def _open_private(self, client: str, capabilities: Json | None) -> AbstractAsyncContextManager[UpstreamSession]:
        return open_session(self._open_wire, self._setup(client, capabilities))

    def _down(self, fault: UpstreamError) -> None:
        self._session = None
        self._report(fault)

    def _report(self, fault: UpstreamError | None, *, expected: bool = False) -> None:
        before = self._fault
        if fault is not None:
            level = logging.INFO if expected or isinstance(fault, Starting) else logging.WARNING
            logger.log(level, "MCP server %s: %s: %s", self.spec.name, fault.reason, fault.message)
        self._fault = fault
        if before is None or fault is None or before.reason != fault.reason:
            self._since = datetime.now(UTC)
        self._on_change()

    def _named(self, fault: UpstreamError) -> UpstreamError:
        return type(fault)(f"MCP server {self.spec.name}: {fault.message}", hint=fault.hint)


def _told(text: object) -> str | None:
    return text[:MOST_CHARACTERS] if isinstance(text, str) else None
