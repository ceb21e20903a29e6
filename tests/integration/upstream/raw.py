"""An MCP client without models, for both protocol eras: what a server sends is compared as it is on the wire."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY

Json = dict[str, Any]

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
CAPABILITIES: Json = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}
CLIENT_INFO = {"name": "raw", "version": "1"}
ANSWERS: dict[str, Json] = {
    "elicitation/create": {"action": "accept", "content": {"name": "Anna", "check": True, "integer": 7}},
    "sampling/createMessage": {
        "role": "assistant",
        "model": "m",
        "content": {"type": "text", "text": "As you say."},
        "stopReason": "endTurn",
    },
    "roots/list": {"roots": [{"uri": "file:///srv/work", "name": "Work"}]},
}
"""What the client answers to whatever it is asked."""


class Raw:
    """A session, or what stands for one in the modern protocol."""

    def __init__(self, dispatcher: JSONRPCDispatcher[Any], *, modern: bool, capabilities: Json) -> None:
        self.introduction: Json = {}
        """The result of the handshake, or of `server/discover`."""
        self.asked: list[tuple[str, Json]] = []
        """What the client was asked, with the parameters."""
        self.told: list[tuple[str, Json]] = []
        """The notifications."""
        self._dispatcher = dispatcher
        self._modern = modern
        self._capabilities = capabilities
        self._tokens = itertools.count(1)

    async def open(self) -> None:
        """Begin the session."""
        if self._modern:
            self.introduction = await self.request("server/discover")
            return
        params = {"protocolVersion": HANDSHAKE, "capabilities": self._capabilities, "clientInfo": CLIENT_INFO}
        self.introduction = await self.request("initialize", params)
        await self._dispatcher.notify("notifications/initialized", None, {"headers": self._headers("", {})})

    async def request(self, method: str, params: Json | None = None) -> Json:
        """The result, with what the modern protocol adds; questions on the way are answered.

        Raises:
            MCPError: The server's error.
        """
        given = dict(params or {})
        while True:
            result = await self._send(method, given)
            if result.get("resultType") != "input_required":
                return result
            questions = result["inputRequests"]
            answers = {name: self._answer(each["method"], each.get("params") or {}) for name, each in questions.items()}
            given = {**(params or {}), "inputResponses": answers, "requestState": result.get("requestState")}

    async def outcome(self, method: str, params: Json | None = None) -> Json:
        """Result or error, without what is the business of the protocol between two hops."""
        try:
            return {"result": content_of(await self.request(method, params))}
        except MCPError as error:
            return {"error": error.error.model_dump(mode="json", exclude_none=True)}

    def notified(self, method: str) -> list[Json]:
        """The parameters of the notifications of one kind."""
        return [params for name, params in self.told if name == method]

    async def _send(self, method: str, params: Json) -> Json:
        if self._modern:
            envelope = {
                PROTOCOL_VERSION_META_KEY: MODERN,
                CLIENT_INFO_META_KEY: CLIENT_INFO,
                CLIENT_CAPABILITIES_META_KEY: self._capabilities,
            }
            params = {**params, "_meta": {**(params.get("_meta") or {}), **envelope}}
        return await self._dispatcher.send_raw_request(
            method, params, {"timeout": 60, "headers": self._headers(method, params)}
        )

    def _headers(self, method: str, params: Json) -> dict[str, str]:
        if not self._modern:
            return {} if method == "initialize" else {"mcp-protocol-version": HANDSHAKE}
        name = params.get("name", params.get("uri"))
        return {
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            **({"mcp-name": name} if isinstance(name, str) else {}),
        }

    def _answer(self, method: str, params: Json) -> Json:
        self.asked.append((method, {key: value for key, value in params.items() if key != "_meta"}))
        return ANSWERS[method]

    async def on_request(self, _: Any, method: str, params: Mapping[str, Any] | None) -> Json:
        """Answer what the server asks."""
        return {} if method == "ping" else self._answer(method, dict(params or {}))

    async def on_rest(self, _: Any, method: str, params: Mapping[str, Any] | None) -> None:
        """Nothing is left for it."""

    def on_notification(self, method: str, params: Mapping[str, Any] | None) -> bool:
        """Remember what the server tells."""
        self.told.append((method, dict(params or {})))
        return True


@asynccontextmanager
async def raw_session(
    streams: AbstractAsyncContextManager[Any], *, modern: bool = False, capabilities: Json | None = None
) -> AsyncIterator[Raw]:
    """A session over the two streams of one of the SDK's client transports."""
    async with streams as (read, write, *_):
        dispatcher: JSONRPCDispatcher[Any] = JSONRPCDispatcher(read, write)
        raw = Raw(dispatcher, modern=modern, capabilities=CAPABILITIES if capabilities is None else capabilities)
        started = _Started()
        running = asyncio.create_task(
            dispatcher.run(raw.on_request, raw.on_rest, raw.on_notification, task_status=started)
        )
        try:
            await started.event.wait()
            await raw.open()
            yield raw
        finally:
            running.cancel()
            await asyncio.wait({running})


@asynccontextmanager
async def raw_http(
    url: str, *, modern: bool = False, headers: dict[str, str] | None = None, capabilities: Json | None = None
) -> AsyncIterator[Raw]:
    """A session at a Streamable HTTP endpoint."""
    async with (
        httpx2.AsyncClient(headers=headers or {}, timeout=90) as http,
        raw_session(
            streamable_http_client(url, http_client=http, max_sse_event_size=None),
            modern=modern,
            capabilities=capabilities,
        ) as raw,
    ):
        yield raw


def content_of(result: Json) -> Json:
    """A result without what each hop of the modern protocol says for itself."""
    stamps = {"resultType", "ttlMs", "cacheScope"} if "resultType" in result else set()
    rest = {key: value for key, value in result.items() if key not in stamps}
    if isinstance(meta := rest.get("_meta"), dict):
        meta = {key: value for key, value in meta.items() if key != "io.modelcontextprotocol/serverInfo"}
        rest = {**rest, "_meta": meta} if meta else {key: value for key, value in rest.items() if key != "_meta"}
    return rest


class _Started:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    def started(self, value: None = None) -> None:
        self.event.set()
