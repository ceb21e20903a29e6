"""Serves MCP for one host over HTTP."""

import asyncio
import socket

from fairlead_client.client_configs import http_snippets, render
from fairlead_client.serve.errors import ServeError
from fairlead_client.serve.narration import announce_connection, narrate, stop_on_signals
from fairlead_client.serve.options import LISTEN_ADDRESS, ServeOptions
from fairlead_client.serve.say import say
from fairlead_client.serve.token import ServeToken
from fairlead_sidecar.app import create_app
from fairlead_sidecar.config import SidecarConfig, Target
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.reload import StaticSource
from fairlead_sidecar.server import serve
from fairlead_sidecar.sidecar import Sidecar


async def serve_http(
    options: ServeOptions,
    target: Target,
    config: SidecarConfig,
    head_start: HeadStart,
    *,
    listener: socket.socket,
    token: ServeToken,
) -> None:
    """Serve over HTTP until a signal comes.

    Raises:
        ServeError: The first login failed.
    """
    app = create_app(StaticSource(config), head_start=head_start)
    sidecar: Sidecar = app.state.sidecar
    url = f"http://{LISTEN_ADDRESS}:{listener.getsockname()[1]}/mcp"

    async def introduce(stop: asyncio.Event) -> None:
        try:
            await announce_connection(sidecar, options, target)
        except ServeError:
            stop.set()
            raise
        say(f"MCP server at {url}, token {token.origin}. Ctrl-C ends it.\n")
        if config.mcp_servers:
            names = ", ".join(server.name for server in config.mcp_servers)
            say(f"Its MCP servers, each also alone at {url.removesuffix('mcp')}servers/NAME/mcp: {names}\n")
        say(render(http_snippets(options.name, url, token.bearer)) + "\n")
        await narrate(sidecar)

    with stop_on_signals() as stop:
        introduction = asyncio.create_task(introduce(stop))
        try:
            await serve(app, public=listener, stop=stop)
        finally:
            await _finish(introduction)


async def _finish(task: asyncio.Task[None]) -> None:
    """Let a task's own error come out; end it where it still runs."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
