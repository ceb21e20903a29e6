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

from tests.e2e.support.waiting import seconds_until, wait_until


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
    except* (MCPError, httpx2.TransportError) as refusal:
        result = {"refused": str(refusal.exceptions)}
    return result


def initialize(url: str, token: str | None) -> httpx.Response:
    """The first request of the handshake era, as a bare HTTP response."""
    client = {"name": "bare-http", "version": "1"}
    return _post(url, token, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})


def answer(url: str, token: str | None) -> httpx.Response | None:
    """As `initialize`, for waiting: None where a revocation, or a pod's end, met this very answer and cut it."""
    try:
        return initialize(url, token)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return None


def wait_status(url: str, token: str | None, status: int, *, what: str) -> httpx.Response:
    """Wait until `initialize` is answered with this status code."""
    return wait_until(
        lambda: found if (found := answer(url, token)) is not None and found.status_code == status else None, what=what
    )


def refused(url: str, token: str) -> bool:
    """Whether the token is no good there any more."""
    found = answer(url, token)
    return found is not None and found.status_code == 401


def seconds_until_refused(url: str, token: str) -> float:
    """How long the token still works."""
    return seconds_until(lambda: refused(url, token), what="401")


def call_over_http(url: str, token: str, tool: str, **arguments: Any) -> httpx.Response:
    """A tool call as a bare HTTP response."""
    return _post(url, token, "tools/call", {"name": tool, "arguments": arguments})


def _post(url: str, token: str | None, method: str, params: dict[str, Any]) -> httpx.Response:
    headers = {"Accept": "application/json, text/event-stream"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=body, headers=headers, timeout=30)
