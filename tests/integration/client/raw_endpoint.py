"""A Streamable HTTP endpoint of a few lines that says what a test wants it to, and remembers what it was told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead_sidecar.sockets import listen

Answer = Callable[[Request, str], Awaitable[Response]]


@dataclass
class RawEndpoint:
    """What it heard so far."""

    url: str
    bodies: list[str] = field(default_factory=list)
    """Of the POSTs."""
    requests: list[Request] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """The JSON-RPC methods of the POSTs; empty for answers."""
        return [json.loads(body).get("method", "") for body in self.bodies]


def events(*data: str, identifiers: bool = False) -> Response:
    """A stream of events that ends after them."""
    text = "".join(
        (f"id: {number}\n" if identifiers else "") + "".join(f"data: {line}\n" for line in one.split("\n")) + "\n"
        for number, one in enumerate(data)
    )
    return Response(text, media_type="text/event-stream")


@contextlib.asynccontextmanager
async def raw_endpoint(answer: Answer, certificate: Path | None = None) -> AsyncIterator[RawEndpoint]:
    """Serve what `answer` makes of each request and its body; with TLS where there is a certificate with its key."""
    listener = listen("127.0.0.1", 0)
    scheme = "https" if certificate else "http"
    endpoint = RawEndpoint(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/mcp")

    async def handle(request: Request) -> Response:
        body = (await request.body()).decode()
        endpoint.requests.append(request)
        if request.method == "POST":
            endpoint.bodies.append(body)
        return await answer(request, body)

    app = Starlette(routes=[Route("/mcp", handle, methods=["GET", "POST", "DELETE"])])
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, ssl_certfile=certificate
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield endpoint
    finally:
        server.should_exit = True
        await task
