"""Serves one host, on HTTP or stdio, for as long as the person wants it.

The login begins here; what serves MCP is loaded beside it.
"""

import asyncio
import logging
import os
import secrets
import socket
import sys
from collections.abc import Mapping

import click
import uvloop

from fairlead_client.serve.errors import LoginRefused, ServeError
from fairlead_client.serve.options import LISTEN_ADDRESS, ServeOptions, build_config, grant
from fairlead_client.serve.passphrase import TRIES, ask_password, unlock
from fairlead_client.serve.say import say
from fairlead_client.serve.target import SshConfigError, resolve
from fairlead_client.serve.token import TokenError, obtain
from fairlead_sidecar import lazy_modules, tokens
from fairlead_sidecar.config import Target
from fairlead_sidecar.head_start import HeadStart, load
from fairlead_sidecar.sockets import listen


def run(options: ServeOptions, environment: Mapping[str, str] = os.environ) -> int:
    """Serve until stopped.

    Returns:
        The exit code: 0 when it was stopped (signal, end of stdin), 1 when it could not begin.
    """
    logging.basicConfig(level=logging.WARNING, format="fairlead: %(levelname)s: %(message)s", stream=sys.stderr)
    try:
        target = resolve(options.destination, options.ssh_config)
        _run_asking(options, target, environment)
    except (ServeError, SshConfigError, TokenError) as error:
        say(f"fairlead: {error}")
        return 1
    except (KeyboardInterrupt, click.Abort):
        # The second one (the first asks for an orderly end), or one instead of a passphrase.
        return 130
    return 0


def _run_asking(options: ServeOptions, target: Target, environment: Mapping[str, str]) -> None:
    """After each refusal, ask the person for something else to offer: as `ssh` does, only for what is needed."""
    asked_to_unlock, passwords = False, 0
    while True:
        try:
            return _run_once(options, target, environment)
        except LoginRefused as refusal:
            if not sys.stdin.isatty():
                raise
            if not asked_to_unlock:
                asked_to_unlock = True
                if unlock(refusal.locked):
                    continue
            passwords += 1
            if not refusal.by_target or passwords > TRIES or not ask_password(target):
                raise


def _run_once(options: ServeOptions, target: Target, environment: Mapping[str, str]) -> None:
    serve = _serve_stdio if options.stdio else _serve_http
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options, target, environment))


async def _serve_http(options: ServeOptions, target: Target, environment: Mapping[str, str]) -> None:
    listener = _listen(options.listen_port)
    port: int = listener.getsockname()[1]
    token = obtain(options.token_file, environment)
    granted = grant(token.parsed.id, tokens.sha256_hex(token.parsed.text))
    config = build_config(options, target, tokens=(granted,), listen_port=port)
    head_start = HeadStart(config)
    await load("fairlead_client.serve.over_http")
    from fairlead_client.serve.over_http import serve_http  # noqa: PLC0415 - loaded beside the login

    await serve_http(options, target, config, head_start, listener=listener, token=token)


async def _serve_stdio(options: ServeOptions, target: Target, environment: Mapping[str, str]) -> None:
    # The other end of stdin is whoever started this process: no token, yet the same permissions and audit as with one.
    granted = grant("stdio", tokens.sha256_hex(secrets.token_hex(32)))
    config = build_config(options, target, tokens=(granted,), listen_port=None)
    head_start = HeadStart(config)
    # Only said to be absent: the SDK's HTTP transport, which comes along, would load it all to stop with it.
    lazy_modules.LACKING.add("uvicorn")
    await load("fairlead_client.serve.on_stdio")
    from fairlead_client.serve.on_stdio import serve_stdio  # noqa: PLC0415 - loaded beside the login

    await serve_stdio(options, target, config, head_start, granted=granted, environment=environment)


def _listen(port: int) -> socket.socket:
    try:
        return listen(LISTEN_ADDRESS, port)
    except OSError as error:
        msg = (
            f"cannot listen on port {port} of {LISTEN_ADDRESS}: {os.strerror(error.errno or 0).lower()}. "
            "Choose another with --listen-port, or 0 for a free one."
        )
        raise ServeError(msg) from error
