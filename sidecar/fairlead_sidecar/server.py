"""Runs the public and the internal application on sockets, in one event loop, until told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from fairlead_sidecar.health import create_internal_app
from fairlead_sidecar.http1 import BoundedHttp
from fairlead_sidecar.sidecar import Sidecar

KEEP_ALIVE_SECONDS = 120
"""How long an idle connection stays open: longer than proxies keep theirs (Traefik 90 s, nginx 60 s), so that it is
never this side that closes one just when a proxy sends a call on it, which would be answered with 502."""
SHUTDOWN_TIMEOUT = 2
"""Seconds that answers still under way get after everything was ended."""


async def serve(
    app: Starlette,
    *,
    public: socket.socket,
    internal: socket.socket | None = None,
    stop: asyncio.Event,
    on_started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set. What was begun then gets the configuration's `drain_timeout` to end by itself; after
    it all calls (their remote commands die), all streams, the link and the servers are ended.

    Args:
        app: From `fairlead_sidecar.app.create_app`.
        public: Bound socket for MCP.
        internal: Bound socket for health, status and metrics; None serves none.
        stop: Setting it begins the shutdown.
        on_started: Called once all sockets are served.
    """
    sidecar: Sidecar = app.state.sidecar
    with public, internal or contextlib.nullcontext():
        # Entered here and not by uvicorn, which answers a failure in it by ending the process.
        async with app.router.lifespan_context(app):
            servers = [(_server(app, _audited(sidecar)), public)]
            if internal is not None:
                servers.append((_server(create_internal_app(sidecar), _leaving(sidecar)), internal))
            running = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in servers]
            watch = asyncio.create_task(stop.wait())
            try:
                await _started([server for server, _ in servers], running)
                on_started()
                await asyncio.wait([watch, *running], return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    await sidecar.leave(lambda: _hang_up(servers))
                await sidecar.drain()
            finally:
                watch.cancel()
                for server, _ in servers:
                    server.should_exit = True
                await asyncio.gather(*running)


async def _started(servers: list[uvicorn.Server], running: list[asyncio.Task[None]]) -> None:
    def undecided() -> bool:
        return not all(server.started for server in servers) and not any(task.done() for task in running)

    while undecided():  # noqa: ASYNC110 - uvicorn has a flag for it, no event
        await asyncio.sleep(0.005)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: two servers share it."""
        yield


def _hang_up(servers: Iterable[tuple[uvicorn.Server, socket.socket]]) -> None:
    """Close the connections on which nothing is under way, and the others after their answer."""
    for server, _ in servers:
        for connection in list(server.server_state.connections):
            connection.shutdown()


def _leaving(sidecar: Sidecar) -> type[BoundedHttp]:
    """The protocol of both ports: once the sidecar leaves, each answer ends its connection."""

    class LeavingHttp(BoundedHttp):
        def on_headers_complete(self) -> None:
            """See `BoundedHttp`."""
            super().on_headers_complete()
            if sidecar.leaving and self.cycle is not None:
                self.cycle.keep_alive = False

    return LeavingHttp


def _audited(sidecar: Sidecar) -> type[BoundedHttp]:
    """The protocol of the public port: whom it refuses is counted and audited."""

    class AuditedHttp(_leaving(sidecar)):  # type: ignore[misc]  # a class made for this sidecar
        def refused(self, reason: str) -> None:
            """See `BoundedHttp`."""
            sidecar.metrics.denial(reason)
            address = self.client[0] if self.client else None
            sidecar.audit.write("denial", {"address": address, "decision": "deny", "outcome": reason})

    return AuditedHttp


def _server(app: ASGIApp, protocol: type[BoundedHttp]) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        # An access log would write URLs, and with them what people wrongly put into them; the audit trail has it all.
        access_log=False,
        # The audit trail names the TCP peer, and what a proxy claims beside it.
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    return _Server(config)
