"""Serves MCP for one host on stdin and stdout."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mcp.server.stdio import stdio_server

from fairlead_client.client_configs import render, stdio_snippets
from fairlead_client.serve.errors import ServeError
from fairlead_client.serve.narration import announce_connection, narrate, stop_on_signals
from fairlead_client.serve.options import ServeOptions
from fairlead_client.serve.say import say
from fairlead_client.serve.standard_output import claimed
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.audit import AuditLog
from fairlead_sidecar.config import SidecarConfig, Target, TokenGrant
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.mcp_server import build_server
from fairlead_sidecar.reload import StaticSource
from fairlead_sidecar.sidecar import Sidecar


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
        key=granted.key,
        owner=granted.uid,
        subject=granted.subject,
        token_id=granted.id,
        permissions=granted.permissions,
    )
    sidecar = Sidecar(StaticSource(config), audit=AuditLog(sys.stderr), head_start=head_start)
    server = build_server(sidecar, local_caller=caller)
    with stop_on_signals() as stop:
        async with sidecar.running():
            by_hand = sys.stdin.isatty()
            if by_hand:
                # Nothing may read from the terminal yet: a passphrase may be asked for there.
                await announce_connection(sidecar, options, target)
                _introduce_stdio(options, environment)
            stopped = asyncio.create_task(stop.wait())
            with claimed() as stdout:
                async with stdio_server(stdout=stdout) as (read, write):
                    serving = asyncio.create_task(server.run(read, write, server.create_initialization_options()))
                    # A client need not wait for the login before it says hello.
                    refusal = asyncio.create_task(
                        _no_refusal() if by_hand else _login_refused(sidecar, options, target)
                    )
                    await asyncio.wait([refusal, stopped], return_when=asyncio.FIRST_COMPLETED)
                    refused = refusal.result() if refusal.done() else None
                    if refused is None and not stop.is_set():
                        narration = asyncio.create_task(narrate(sidecar))
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
        await announce_connection(sidecar, options, target)
    except ServeError as error:
        return error
    return None


async def _no_refusal() -> None:
    """Stand for a login that was announced already."""


def _introduce_stdio(options: ServeOptions, environment: Mapping[str, str]) -> None:
    command = (str(Path(sys.argv[0]).absolute()), *options.stdio_arguments())
    say("This speaks MCP on stdin and stdout: a client starts it. Put this into yours (Ctrl-C ends it here):\n")
    say(render(stdio_snippets(options.name, command, agent="SSH_AUTH_SOCK" in environment)) + "\n")
