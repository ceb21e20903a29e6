"""An agent: a real MCP client at a real URL, and raw HTTP where the status code is the point."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError


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


def try_call(url: str, token: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """As `call`, for waiting: a call that meets a pod which just ends gives `{"refused": …}` instead of an error."""
    result: dict[str, Any] = {}
    try:
        result = asyncio.run(call(url, token, tool, **arguments))
    except* MCPError as refusal:
        result = {"refused": str(refusal.exceptions)}
    return result


def initialize(url: str, token: str | None) -> httpx.Response:
    """The first request of the handshake era, as a bare HTTP response."""
    client = {"name": "bare-http", "version": "1"}
    return _post(url, token, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})


def refused(url: str, token: str) -> bool:
    """Whether the token is no good there any more."""
    try:
        return initialize(url, token).status_code == 401
    except httpx.RemoteProtocolError:
        # The revocation met this very answer and cut it.
        return False


def call_over_http(url: str, token: str, tool: str, **arguments: Any) -> httpx.Response:
    """A tool call as a bare HTTP response."""
    return _post(url, token, "tools/call", {"name": tool, "arguments": arguments})


def _post(url: str, token: str | None, method: str, params: dict[str, Any]) -> httpx.Response:
    headers = {"Accept": "application/json, text/event-stream"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=body, headers=headers, timeout=30)
