"""Serves MCP for one host, over HTTP or on stdio."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcp.server.stdio import stdio_server

from fairlead_client.client_configs import http_snippets, render, stdio_snippets
from fairlead_client.serve.errors import LoginRefused, ServeError
from fairlead_client.serve.explain import explain
from fairlead_client.serve.options import LISTEN_ADDRESS, ServeOptions
from fairlead_client.serve.passphrase import locked_identities
from fairlead_client.serve.say import say
from fairlead_client.serve.token import ServeToken
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.app import create_app
from fairlead_sidecar.audit import AuditLog
from fairlead_sidecar.config import SidecarConfig, Target, TokenGrant
from fairlead_sidecar.errors import AuthenticationFailed
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.mcp_server import build_server
from fairlead_sidecar.reload import StaticSource
from fairlead_sidecar.server import serve
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.ssh.login import STILL_TRYING
from fairlead_sidecar.ssh.route import JUMP_HOST
from fairlead_sidecar.statusz import LinkState, LinkStatus

LONG_POLL_SECONDS = 60.0


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
            await _announce_connection(sidecar, options, target)
        except ServeError:
            stop.set()
            raise
        say(f"MCP server at {url}, token {token.origin}. Ctrl-C ends it.\n")
        say(render(http_snippets(options.name, url, token.bearer)) + "\n")
        await _narrate(sidecar)

    with _stop_on_signals() as stop:
        introduction = asyncio.create_task(introduce(stop))
        try:
            await serve(app, public=listener, stop=stop)
        finally:
            await _finish(introduction)


async def serve_stdio(
    options: ServeOptions,
    target: Target,
    config: SidecarConfig,
    head_start: HeadStart,
    *,
    granted: TokenGrant,
    environment: Mapping[str, str],
) -> None:
    """Serve on stdin and stdout until their end or a signal.

    Raises:
        ServeError: Started by hand, and the first login failed.
    """
    caller = Caller(
        key=granted.secret_sha256,
        owner=granted.uid,
        subject=granted.subject,
        token_id=granted.id,
        permissions=granted.permissions,
    )
    sidecar = Sidecar(StaticSource(config), audit=AuditLog(sys.stderr), head_start=head_start)
    server = build_server(sidecar, local_caller=caller)
    with _stop_on_signals() as stop:
        async with sidecar.running():
            by_hand = sys.stdin.isatty()
            if by_hand:
                # Nothing may read from the terminal yet: a passphrase may be asked for there.
                await _announce_connection(sidecar, options, target)
                _introduce_stdio(options, environment)
            stopped = asyncio.create_task(stop.wait())
            async with stdio_server() as (read, write):
                serving = asyncio.create_task(server.run(read, write, server.create_initialization_options()))
                # A client need not wait for the login before it says hello.
                refusal = asyncio.create_task(_no_refusal() if by_hand else _login_refused(sidecar, options, target))
                await asyncio.wait([refusal, stopped], return_when=asyncio.FIRST_COMPLETED)
                refused = refusal.result() if refusal.done() else None
                if refused is None and not stop.is_set():
                    narration = asyncio.create_task(_narrate(sidecar))
                    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
                    narration.cancel()
                if refused is not None:
                    say(f"fairlead: {refused}")
                if refused is not None or stop.is_set():
                    await sidecar.drain()
                    # A thread waits in read() on stdin and nothing can wake it: an ordinary exit would wait for it.
                    sys.stderr.flush()
                    os._exit(0 if refused is None else 1)
                await serving
            stopped.cancel()


async def _login_refused(sidecar: Sidecar, options: ServeOptions, target: Target) -> ServeError | None:
    """Announce the outcome of the first login; why it failed, if it did."""
    try:
        await _announce_connection(sidecar, options, target)
    except ServeError as error:
        return error
    return None


async def _no_refusal() -> None:
    """Stand for a login that was announced already."""


def _introduce_stdio(options: ServeOptions, environment: Mapping[str, str]) -> None:
    command = (str(Path(sys.argv[0]).absolute()), *options.stdio_arguments())
    say("This speaks MCP on stdin and stdout: a client starts it. Put this into yours (Ctrl-C ends it here):\n")
    say(render(stdio_snippets(options.name, command, agent="SSH_AUTH_SOCK" in environment)) + "\n")


async def _announce_connection(sidecar: Sidecar, options: ServeOptions, target: Target) -> None:
    """Wait for the outcome of the first login.

    Raises:
        ServeError: It failed.
    """
    status = sidecar.status()
    while status.link.state is LinkState.CONNECTING or STILL_TRYING in status.link.message:
        status = await sidecar.status_after(status.version, LONG_POLL_SECONDS)
    if status.link.state is LinkState.FAILED:
        raise await _refusal(sidecar, status.link, options, target)
    say(f"Connected to {target.username}@{target.address}:{target.port} ({_seen(status.link)}).")


async def _refusal(sidecar: Sidecar, status: LinkStatus, options: ServeOptions, target: Target) -> ServeError:
    message = explain(status, options, target)
    if status.reason != AuthenticationFailed.reason or sidecar.active is None:
        return ServeError(message)
    locked = await asyncio.to_thread(locked_identities, sidecar.active.config)
    return LoginRefused(message, locked, by_target=not status.message.startswith(JUMP_HOST))


async def _narrate(sidecar: Sidecar) -> None:
    """Say how the link fares, for as long as it is served."""
    status = sidecar.status()
    said = status.link.state
    while not sidecar.draining:
        status = await sidecar.status_after(status.version, LONG_POLL_SECONDS)
        if sidecar.draining or status.link.state is said:
            continue
        if status.link.state is LinkState.CONNECTED:
            said = LinkState.CONNECTED
            say(f"Connected again ({_seen(status.link)}).")
        elif status.link.state is LinkState.FAILED:
            said = LinkState.FAILED
            say(f"Not connected: {status.link.message} It is tried again until it works.")


def _seen(status: LinkStatus) -> str:
    return ", ".join(part for part in (status.host_key_fingerprint, status.server_version) if part)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that a signal sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def ask() -> None:
        stop.set()
        # A second Ctrl-C does not wait for the host any more.
        loop.remove_signal_handler(signal.SIGINT)

    for number in numbers:
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        # uvloop keeps them beyond its own end, and Ctrl-C would do nothing while a passphrase is asked for.
        for number in numbers:
            loop.remove_signal_handler(number)


async def _finish(task: asyncio.Task[None]) -> None:
    """Let a task's own error come out; end it where it still runs."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
