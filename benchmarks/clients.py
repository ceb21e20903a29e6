"""The MCP client that every tool call is made with: the same one for the no-op server and for Fairlead."""

import contextlib
from collections.abc import AsyncIterator
from typing import Literal

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

Era = Literal["legacy", "auto"]
"""`legacy`: the initialize handshake of mcp 1.x clients (2025-11-25); `auto`: the modern protocol (2026-07-28)."""
ERAS: tuple[Era, ...] = ("legacy", "auto")


@contextlib.asynccontextmanager
async def connect(url: str, *, era: Era, token: str | None = None) -> AsyncIterator[Client]:
    """A connected client; `token` is sent as a bearer."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300), trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield client
