"""The MCP client that every tool call is made with: the same one for the no-op server, for Fairlead and for peers."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, TextIO

import httpx2
import psutil
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

Era = Literal["legacy", "auto"]
"""`legacy`: the initialize handshake of mcp 1.x clients (2025-11-25); `auto`: the modern protocol (2026-07-28)."""
ERAS: tuple[Era, ...] = ("legacy", "auto")

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
"""As by default, but with a connection for each call: a session's standing stream takes one of the usual 100, and the
last of 100 calls at once would wait for another to end."""


@contextlib.asynccontextmanager
async def connect(url: str, *, era: Era, token: str | None = None) -> AsyncIterator[Client]:
    """A connected client; `token` is sent as a bearer. It takes answers of any size, which peers need."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    timeout = httpx2.Timeout(30, read=300)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, limits=LIMITS, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http, max_sse_event_size=None), mode=era) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def start(
    command: Sequence[str], *, environment: Mapping[str, str], log: TextIO, era: Era
) -> AsyncIterator[tuple[Client, psutil.Process]]:
    """Start a server that speaks MCP on its stdin and stdout; a client of it, and its process."""
    before = set(psutil.Process().children())
    # In its own home: some write their logs to where they are started.
    parameters = StdioServerParameters(
        command=command[0], args=list(command[1:]), env=dict(environment), cwd=environment["HOME"]
    )
    async with Client(stdio_client(parameters, errlog=log), mode=era) as client:
        [process] = [child for child in psutil.Process().children() if child not in before]
        yield client, process
