"""What client and endpoint say to each other passes as it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.integration.app.endpoint import until
from tests.integration.client.connecting import by_hand, environment
from tests.integration.client.person import ENDING_SECONDS
from tests.integration.client.raw_endpoint import events, raw_endpoint

MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.example/unknown": [1.0, None],
}
ODD = (
    '{"jsonrpc": "2.0", "id": "a", "method": "example/unknown", "params": {"big": 12345678901234567890123, "e": 1.50,'
    ' "text": "\\u00e9 é\\ud83d\\ude00", "_meta": {"x": null}}, "extra": {"deep": [{}]}}'
)
ODD_ANSWER = (
    '{"id": "a", "jsonrpc": "2.0", "result": {"big": 98765432109876543210, "e": 2.00, "unknown": null}, "more": "é"}'
)


@pytest.mark.parametrize("streams", [True, False], ids=["events", "JSON"])
async def test_unknown_methods_fields_and_numbers_pass_character_by_character(tmp_path: Path, streams: bool) -> None:
    async def answer(request: Request, body: str) -> Response:
        if request.method != "POST":
            return Response(status_code=405)
        return events(ODD_ANSWER) if streams else Response(ODD_ANSWER, media_type="application/json")

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.send(ODD)
        assert await client.line() == ODD_ANSWER
        assert endpoint.bodies == [ODD]
        assert await client.ends() == 0


async def test_a_message_of_several_lines_arrives_as_one(tmp_path: Path) -> None:
    result = {"jsonrpc": "2.0", "id": 1, "result": {"text": "one\ntwo\r\nthree"}}

    async def answer(request: Request, body: str) -> Response:
        return events(json.dumps(result, indent=2))

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.send({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert json.loads(await client.line()) == result


async def test_ten_megabytes_pass(tmp_path: Path) -> None:
    text = "x" * 10_000_000

    async def answer(request: Request, body: str) -> Response:
        return events(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"length": len(body), "text": text}}))

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        request: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": text}}
        result = (await client.answer(request))["result"]
    assert result == {"length": len(json.dumps(request)), "text": text}


async def test_headers_of_the_modern_protocol_mirror_the_body(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "where": {"type": "object", "properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry"}}},
        },
    }
    tools = {"tools": [{"name": "größe", "inputSchema": schema}]}

    async def answer(request: Request, body: str) -> Response:
        message = json.loads(body)
        result = tools if message["method"] == "tools/list" else {"content": []}
        return events(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))

    def request(number: int, method: str, **params: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": MODERN_META}}

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.answer(request(1, "tools/list"))
        arguments = {"region": "eu west ", "where": {"dry": True}}
        await client.answer(request(2, "tools/call", name="größe", arguments=arguments))
        await client.answer(request(3, "resources/read", uri="file:///etc/hosts"))
        listed, called, read = (one.headers for one in endpoint.requests)
    assert (listed["mcp-protocol-version"], listed["mcp-method"]) == ("2026-07-28", "tools/list")
    assert "mcp-name" not in listed
    assert called["mcp-name"] == "=?base64?Z3LDtsOfZQ==?="
    assert (called["mcp-param-region"], called["mcp-param-dry"]) == ("=?base64?ZXUgd2VzdCA=?=", "true")
    assert read["mcp-name"] == "file:///etc/hosts"
    assert not {"mcp-session-id", "authorization"} & set(read)


async def test_further_headers_go_with_every_request(tmp_path: Path) -> None:
    async def answer(request: Request, body: str) -> Response:
        return events('{"jsonrpc": "2.0", "id": 1, "result": {}}')

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand("--header", "X-Tenant=blue=1", endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.answer({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert endpoint.requests[0].headers["x-tenant"] == "blue=1"


async def test_what_is_no_message_gets_a_parse_error_and_the_next_one_works(tmp_path: Path) -> None:
    async def answer(request: Request, body: str) -> Response:
        return events('{"jsonrpc": "2.0", "id": 1, "result": {}}')

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.send("{nonsense")
        refused = await client.message()
        assert (refused["id"], refused["error"]["code"]) == (None, -32700)
        assert (await client.answer({"jsonrpc": "2.0", "id": 1, "method": "ping"}))["result"] == {}
        assert endpoint.methods == ["ping"]


async def test_the_servers_own_error_passes_whatever_the_http_status_is(tmp_path: Path) -> None:
    error = {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2026-07-28"]}}

    async def answer(request: Request, body: str) -> Response:
        text = json.dumps({"jsonrpc": "2.0", "id": None, "error": error})
        return Response(text, status_code=400, media_type="application/json")

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        answered = await client.answer({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {}})
    assert answered["error"] == error


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (Response("<html>no</html>", 404, media_type="text/html"), "no MCP endpoint at"),
        (Response("", 405), "no MCP endpoint at"),
        (Response("", 307, headers={"Location": "https://elsewhere.example/mcp"}), "redirects to https://elsewhere"),
        (Response("hello", 200, media_type="text/html"), "HTTP 200 with text/html; charset=utf-8, which is no MCP"),
        (Response("nonsense", 200, media_type="application/json"), "no JSON-RPC message"),
        (Response("", 202), "HTTP 202"),
        (
            Response('{"message": "slow down"}', 429, {"Retry-After": "7"}, "application/json"),
            "slow down): try again in 7 s",
        ),
        (
            Response('{"message": "not for you"}', 403, media_type="application/json"),
            "denied it (HTTP 403 Forbidden: not for",
        ),
        (events(), "ended without the answer"),
    ],
)
async def test_what_is_no_mcp_is_named_in_the_answer(tmp_path: Path, response: Response, cause: str) -> None:
    async def answer(request: Request, body: str) -> Response:
        return response

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        called = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}
        assert cause in (await client.answer(called))["error"]["message"]


async def test_an_older_endpoint_makes_a_modern_client_fall_back(tmp_path: Path) -> None:
    async def answer(request: Request, body: str) -> Response:
        return Response("Bad Request: no session", 400, media_type="text/plain")

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        discover = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": MODERN_META}}
        assert (await client.answer(discover))["error"]["code"] == -32601


async def test_a_modern_cancellation_closes_the_response(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def answer(request: Request, body: str) -> Response:
        async def forever() -> AsyncIterator[str]:
            try:
                yield ": waiting\n\n"
                await asyncio.Event().wait()
            finally:
                gone.set()

        return StreamingResponse(forever(), media_type="text/event-stream")

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        params = {"name": "x", "_meta": MODERN_META}
        await client.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        await until(lambda: bool(endpoint.bodies), "the call to arrive")
        cancelled = {"requestId": 1, "reason": "enough"}
        await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled})
        async with asyncio.timeout(ENDING_SECONDS):
            await gone.wait()
        assert endpoint.methods == ["tools/call"]


async def test_a_cancellation_of_the_handshake_protocols_is_passed_on(tmp_path: Path) -> None:
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "enough"}}
    told = asyncio.Event()

    async def answer(request: Request, body: str) -> Response:
        message = json.loads(body or "{}")
        if message == cancelled:
            told.set()
        if message.get("method") == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {}}
            return events(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))
        if message.get("method") == "tools/call":
            await told.wait()
            error = {"code": -32800, "message": "cancelled"}
            return events(json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}))
        return Response(status_code=202)

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.answer({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}})
        await client.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}})
        await until(lambda: "tools/call" in endpoint.methods, "the call to arrive")
        await client.send(cancelled)
        assert (await client.message())["error"]["code"] == -32800
        assert json.loads(endpoint.bodies[-1]) == cancelled
