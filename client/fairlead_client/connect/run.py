"""Runs the bridge until the client closes its end or a signal comes."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from fairlead_client.connect import tokens, url
from fairlead_client.connect.bridge import Bridge
from fairlead_client.connect.endpoint import Endpoint
from fairlead_client.connect.stdio import Stdio


def say(text: str) -> None:
    """Tell the person; standard output belongs to MCP."""
    click.echo(f"fairlead: {text}", err=True)


def run(
    endpoint: str, token_file: Path | None, token_variable: str | None, headers: Mapping[str, str], patience: float
) -> int:
    """Connect standard input and output with an endpoint.

    Args:
        endpoint: Its URL.
        token_file: Holds the token; None: elsewhere.
        token_variable: Names the variable that holds the token; None: FAIRLEAD_TOKEN, else the keyring.
        headers: Further ones.
        patience: Seconds that a request waits for an endpoint that is away.

    Returns:
        0, once the client has closed its end or a signal came.

    Raises:
        ConnectError: It can't begin.
    """
    logging.basicConfig(level=logging.WARNING, format="fairlead: %(levelname)s: %(message)s", stream=sys.stderr)
    checked = url.check(endpoint)
    token = tokens.find(token_file, token_variable, url.account(checked), os.environ)
    asyncio.run(_run(checked, token, headers, patience))
    # A thread waits in read() on stdin and nothing can wake it: an ordinary exit might wait for it.
    sys.stderr.flush()
    os._exit(0)


async def _run(endpoint_url: str, token: tokens.TokenSource, headers: Mapping[str, str], patience: float) -> None:
    endpoint = Endpoint(endpoint_url, token, headers, patience, say)
    if endpoint.has_token and url.is_readable_on_the_way(endpoint_url):
        say(f"Warning: {endpoint_url} is plain HTTP: whoever is on the way can read the token. Use https.")
    client = Stdio()
    bridge = Bridge(client, endpoint, say)
    with stopped_by_signals(client.ended):
        client.start()
        taking = asyncio.create_task(_take(client, bridge))
        ended = asyncio.create_task(client.ended.wait())
        await asyncio.wait([taking, ended], return_when=asyncio.FIRST_COMPLETED)
        taking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await taking
        await bridge.close()
        await endpoint.close()


async def _take(client: Stdio, bridge: Bridge) -> None:
    async for line in client.lines():
        await bridge.take(line)


@contextlib.contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set an event at SIGTERM, SIGINT and SIGHUP."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    yield
    for number in numbers:
        loop.remove_signal_handler(number)
