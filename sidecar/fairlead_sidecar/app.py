"""The public ASGI application, the same for the pod, `fairlead serve`, tests and conformance runs."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from mcp.server.lowlevel.server import Server
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from fairlead_sidecar.access import responses
from fairlead_sidecar.access.gate import Gate
from fairlead_sidecar.access.legacy import LegacySse
from fairlead_sidecar.access.resumable import ResumableSessions
from fairlead_sidecar.audit import AuditLog
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.mcp_server import build_server
from fairlead_sidecar.reload import ConfigSource
from fairlead_sidecar.sidecar import Sidecar


def create_app(
    source: ConfigSource,
    *,
    audit: AuditLog | None = None,
    head_start: HeadStart | None = None,
    make_server: Callable[[Sidecar], Server[Any]] = build_server,
) -> "Application":
    """The application that serves MCP: Streamable HTTP, both protocol eras, at `<endpoint.path>/mcp`, and HTTP+SSE for
    clients that speak only 2024-11-05 at `<endpoint.path>/sse`.

    Its lifespan follows `source`, keeps the SSH link up and ends everything behind it; the server that runs it must
    send lifespan events. `app.state.sidecar` is the `Sidecar`, for the internal application and for shutting down:
    call its `drain()` before the server stops, else open streams hold the server up.

    Args:
        source: `FileSource`, `StaticSource` or another source of configurations; it may have none yet (answers 503).
        audit: Where the audit trail goes; standard output by default.
        head_start: The link, where it was begun already; it ends with the lifespan.
        make_server: What is behind the gate; another one only to examine gate and transports with.
    """
    sidecar = Sidecar(source, audit=audit, head_start=head_start)
    server = make_server(sidecar)
    manager = ResumableSessions(server)
    sidecar.sessions.attach(manager)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with manager.run(), sidecar.running():
            yield

    app = Application(Gate(sidecar, manager.handle_request, LegacySse(server)), lifespan)
    app.state.sidecar = sidecar
    return app


class Application(Starlette):
    """Passes requests to the gate as they are: there is no route to find, and no layer that would do anything."""

    def __init__(self, gate: Gate, lifespan: Lifespan[Starlette]) -> None:
        super().__init__(lifespan=lifespan)
        self.gate = gate

    def build_middleware_stack(self) -> ASGIApp:
        """See `Starlette`: what was added stands before the gate, and nothing else."""
        app: ASGIApp = self._pass_on
        for added, args, kwargs in reversed(self.user_middleware):
            app = added(app, *args, **kwargs)
        return app

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give it to the gate; an error of ours is answered where nothing was, and then logged by the server."""
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.gate(scope, receive, noted)
        except Exception:
            if not begun:
                await _internal_error()(scope, receive, send)
            raise


def _internal_error() -> Response:
    return responses.error(500, "internal_error", "The sidecar failed; its log has the cause.")
