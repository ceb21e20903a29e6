"""A real MCP handshake through the Service, with the operator's own credential.

Three requests of JSON-RPC in plain HTTP: the MCP client would cost the operator some 25 MB for them.
Specification: Model Context Protocol 2025-11-25, Streamable HTTP.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp

from fairlead_operator.observe.http import read_bounded, timeout
from fairlead_operator.reconcile.observed import Handshake

PROTOCOL_VERSION = "2025-11-25"
TIMEOUT = 5.0
_BODY_LIMIT = 1024 * 1024


class _Failed(Exception):
    """One step went wrong; the message says which."""


async def shake_hands(session: aiohttp.ClientSession, url: str, host_header: str, token: str) -> Handshake:
    """Initialize a session, list the tools, end the session."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Host": host_header,
    }
    try:
        async with _ask(session, url, headers, number=1, method="initialize", params=_INITIALIZE) as response:
            await _result(response, 1, "initialize")
            if session_id := response.headers.get("Mcp-Session-Id"):
                headers["Mcp-Session-Id"] = session_id
        headers["Mcp-Protocol-Version"] = PROTOCOL_VERSION
        try:
            async with _ask(
                session, url, headers, number=None, method="notifications/initialized", params={}
            ) as response:
                if not response.ok:
                    raise _Failed(f"notifications/initialized was answered with HTTP {response.status}")
            async with _ask(session, url, headers, number=2, method="tools/list", params={}) as response:
                tools = (await _result(response, 2, "tools/list")).get("tools")
        finally:
            if session_id:
                async with session.delete(url, headers=headers, timeout=timeout(TIMEOUT), allow_redirects=False):
                    pass
    except _Failed as failure:
        return Handshake(ok=False, message=str(failure))
    except (aiohttp.ClientError, TimeoutError) as error:
        return Handshake(ok=False, message=f"no answer ({type(error).__name__})")
    if not isinstance(tools, list) or not tools:
        return Handshake(ok=False, message="the endpoint offers no tools")
    return Handshake(ok=True, message="", tool_count=len(tools))


_INITIALIZE = {
    "protocolVersion": PROTOCOL_VERSION,
    "capabilities": {},
    "clientInfo": {"name": "fairlead-operator", "version": "1"},
}


def _ask(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    *,
    number: int | None,
    method: str,
    params: Mapping[str, Any],
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if number is not None:
        message["id"] = number
    body = json.dumps(message).encode()
    return session.post(url, data=body, headers=headers, timeout=timeout(TIMEOUT), allow_redirects=False)


async def _result(response: aiohttp.ClientResponse, number: int, method: str) -> dict[str, Any]:
    if not response.ok:
        raise _Failed(f"{method} was answered with HTTP {response.status}")
    try:
        answer = await _message(response, number)
    except ValueError as error:
        raise _Failed(f"{method} was answered with something that is no JSON-RPC") from error
    if "error" in answer:
        raise _Failed(f"{method} was refused: {str(answer['error'].get('message', ''))[:200]}")
    result: dict[str, Any] = answer["result"]
    return result


async def _message(response: aiohttp.ClientResponse, number: int) -> dict[str, Any]:
    """The answer to request `number`, from a JSON body or from a stream of events."""
    if response.content_type == "application/json":
        return _checked(json.loads(await read_bounded(response, _BODY_LIMIT)), number)
    async for line in response.content:
        if line.startswith(b"data:") and line[5:].strip():
            message = json.loads(line[5:])
            if isinstance(message, dict) and message.get("id") == number:
                return _checked(message, number)
    raise ValueError("the stream ended without an answer")


def _checked(message: Any, number: int) -> dict[str, Any]:
    ours = isinstance(message, dict) and message.get("id") == number
    if ours and any(isinstance(message.get(part), dict) for part in ("error", "result")):
        answer: dict[str, Any] = message
        return answer
    raise ValueError("another answer than the one asked for")
