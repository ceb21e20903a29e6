"""An agent: a real MCP client at a real URL, and raw HTTP where the status code is the point."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def agent(url: str, token: str) -> AsyncIterator[Client]:
    """A connected MCP client that authenticates with a bearer token."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def call(url: str, token: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """One tool call in a session of its own: the structured content, with `is_error` beside it."""
    async with agent(url, token) as client:
        result = await client.call_tool(tool, arguments)
        return {**(result.structured_content or {}), "is_error": result.is_error}


def initialize(url: str, token: str | None, **headers: str) -> httpx.Response:
    """The first request of the handshake era, as a bare HTTP response."""
    authorization = {"Authorization": f"Bearer {token}"} if token is not None else {}
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "bare-http", "version": "1"},
        },
    }
    accept = {"Accept": "application/json, text/event-stream"}
    return httpx.post(url, json=body, headers={**accept, **authorization, **headers}, timeout=30)
