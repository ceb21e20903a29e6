"""The endpoint goes away and comes back, and the client need not notice."""

import asyncio
import json
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from starlette.requests import Request
from starlette.responses import Response

from fairlead_sidecar.config import SidecarConfig
from tests.integration.app.endpoint import until
from tests.integration.client.connecting import by_hand, connected, environment, serving
from tests.integration.client.person import ENDING_SECONDS, Era
from tests.integration.client.raw_endpoint import events, raw_endpoint
from tests.integration.sshd import free_port

both_eras = pytest.mark.parametrize("era", ["legacy", "auto"])
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "x"}}
HELLO: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {"x": {}}, "clientInfo": {"name": "t", "version": "1"}},
}
WELCOME = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "s"}}


@both_eras
async def test_a_client_works_on_after_the_endpoint_was_restarted(
    unreachable: SidecarConfig, tmp_path: Path, era: Era
) -> None:
    changed = asyncio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    port = free_port()
    async with serving(unreachable, port=port) as first:
        url, token = first.url, first.token
        env = environment(tmp_path, FAIRLEAD_TOKEN=token)
        client_context = connected(url, env=env, era=era, log=tmp_path / "log", message_handler=hear)
        client = await client_context.__aenter__()
        assert len((await client.list_tools()).tools) > 5
    try:
        waiting = asyncio.create_task(client.call_tool("test_simple_text", {}))
        await until(lambda: "is away" in (tmp_path / "log").read_text(), "the endpoint to be missed")
        async with serving(unreachable, port=port, token=token):
            result = await waiting
            assert isinstance(result.content[0], types.TextContent)
            assert not result.is_error
            if era == "legacy":
                async with asyncio.timeout(ENDING_SECONDS):
                    await changed.wait()
            assert (await client.call_tool("test_simple_text", {})).content == result.content
            await client_context.__aexit__(None, None, None)
    finally:
        assert "Traceback" not in (tmp_path / "log").read_text()


async def test_a_subscription_goes_on_after_the_endpoint_was_restarted(
    unreachable: SidecarConfig, tmp_path: Path
) -> None:
    port = free_port()
    async with serving(unreachable, port=port) as first:
        url, token = first.url, first.token
        client_context = connected(url, env=environment(tmp_path, FAIRLEAD_TOKEN=token))
        client = await client_context.__aenter__()
        subscription_context = client.listen(tools_list_changed=True)
        subscription = await subscription_context.__aenter__()
    async with serving(unreachable, port=port, token=token):
        async with asyncio.timeout(ENDING_SECONDS):
            event = await anext(aiter(subscription))
        assert "tools" in repr(event).lower()
        await subscription_context.__aexit__(None, None, None)
        await client_context.__aexit__(None, None, None)


async def test_a_request_waits_so_long_and_no_longer_for_an_endpoint_that_is_away(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    async with by_hand("--connect-timeout=1", url, env=environment(tmp_path), log=tmp_path / "log") as client:
        began = asyncio.get_running_loop().time()
        message = (await client.answer(PING))["error"]["message"]
        assert asyncio.get_running_loop().time() - began < 20
        assert f"{url} is away: connection refused" in message
        assert "waited 1 s, and nothing was sent" in message
        assert client.said.count("The endpoint is away") == 1


async def test_a_request_to_an_endpoint_that_was_away_for_long_is_answered_soon(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    async with by_hand("--connect-timeout=6", url, env=environment(tmp_path), log=tmp_path / "log") as client:
        assert "waited 6 s" in (await client.answer(PING))["error"]["message"]
        assert "waited 2 s" in (await client.answer({**PING, "id": 2}))["error"]["message"]


async def test_a_busy_endpoint_is_asked_again(tmp_path: Path) -> None:
    posts = 0

    async def answer(request: Request, body: str) -> Response:
        nonlocal posts
        if request.method != "POST":
            return Response(status_code=405)
        posts += 1
        if posts < 3:
            return Response('{"message": "too busy"}', 503, media_type="application/json")
        return events('{"jsonrpc": "2.0", "id": 5, "result": {}}')

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        assert (await client.answer(CALL))["result"] == {}
    assert posts == 3


async def test_a_call_that_a_gateway_lost_is_not_repeated_and_the_error_says_so(tmp_path: Path) -> None:
    async def answer(request: Request, body: str) -> Response:
        return Response(status_code=502) if request.method == "POST" else Response(status_code=405)

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        message = (await client.answer(CALL))["error"]["message"]
        assert "HTTP 502 Bad Gateway" in message
        assert "Whether it has had an effect is not known" in message
        assert endpoint.methods == ["tools/call"]


async def test_a_list_that_a_gateway_lost_is_asked_for_again(tmp_path: Path) -> None:
    async def answer(request: Request, body: str) -> Response:
        if request.method != "POST":
            return Response(status_code=405)
        if len(endpoint.bodies) < 2:
            return Response(status_code=502)
        return events('{"jsonrpc": "2.0", "id": 1, "result": {}}')

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        assert (await client.answer({**PING, "method": "tools/list"}))["result"] == {}


class Forgetful:
    """An endpoint of the handshake protocols that forgets its session when told to."""

    def __init__(self, status: int = 404) -> None:
        self.status = status
        self.session = 0
        self.forgotten = False
        self.log: list[tuple[str, str, str | None]] = []

    async def answer(self, request: Request, body: str) -> Response:
        message = json.loads(body) if body else {}
        method, named = message.get("method", ""), request.headers.get("mcp-session-id")
        self.log.append((request.method, method, named))
        if method == "initialize":
            assert message == HELLO
            self.session += 1
            self.forgotten = False
            response = events(json.dumps({"jsonrpc": "2.0", "id": 0, "result": WELCOME}))
            response.headers["Mcp-Session-Id"] = f"s{self.session}"
            return response
        if named is not None and (self.forgotten or named != f"s{self.session}"):
            error = {"code": -32600, "message": "Session not found"}
            text = json.dumps({"jsonrpc": "2.0", "id": "server-error", "error": error})
            return Response(text, self.status, media_type="application/json")
        if request.method != "POST":
            return Response(status_code=405 if request.method == "GET" else 200)
        if "id" not in message:
            return Response(status_code=202)
        return events(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"session": self.session}}))


@pytest.mark.parametrize("status", [404, 400])
async def test_a_session_that_was_forgotten_is_begun_again_as_the_client_began_it(tmp_path: Path, status: int) -> None:
    server = Forgetful(status)
    async with (
        raw_endpoint(server.answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        assert (await client.answer(HELLO))["result"] == WELCOME
        await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await client.answer({**PING, "id": 2, "method": "logging/setLevel", "params": {"level": "debug"}})
        assert (await client.answer(CALL))["result"] == {"session": 1}
        server.forgotten = True
        server.log.clear()
        await client.send(CALL)
        first, second = await client.message(), await client.message()
        assert first == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        assert second["result"] == {"session": 2}
        assert await client.ends() == 0
    posts = [(method, named) for kind, method, named in server.log if kind == "POST"]
    assert posts == [
        ("tools/call", "s1"),
        ("initialize", None),
        ("notifications/initialized", "s2"),
        ("logging/setLevel", "s2"),
        ("tools/call", "s2"),
    ]
    assert [entry for entry in server.log if entry[0] == "DELETE"] == [("DELETE", "", "s2")]


async def test_an_answer_to_a_question_of_a_forgotten_session_goes_nowhere(tmp_path: Path) -> None:
    server = Forgetful()
    question = {"jsonrpc": "2.0", "id": 9, "method": "elicitation/create", "params": {}}

    async def answer(request: Request, body: str) -> Response:
        if '"ask"' in body:
            server.forgotten = True
            return events(json.dumps(question), '{"jsonrpc": "2.0", "id": 4, "result": {}}')
        return await server.answer(request, body)

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.answer(HELLO)
        await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await client.send({"jsonrpc": "2.0", "id": 4, "method": "ask"})
        assert await client.message() == question
        await client.message(lambda message: message.get("id") == 4)
        await client.send({"jsonrpc": "2.0", "id": 6, "method": "tools/list"})
        cancelled = await client.message(lambda message: message.get("method") == "notifications/cancelled")
        assert cancelled["params"]["requestId"] == 9
        await client.message(lambda message: message.get("id") == 6)
        await client.send({"jsonrpc": "2.0", "id": 9, "result": {"action": "accept"}})
        await client.answer({**PING, "id": 7})
        assert not [body for body in endpoint.bodies if "accept" in body]


async def test_a_stream_that_was_cut_is_taken_up_again_where_it_was(tmp_path: Path) -> None:
    server = Forgetful()
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}}

    async def answer(request: Request, body: str) -> Response:
        if '"tools/call"' in body:
            return events(json.dumps(note), identifiers=True)
        if request.headers.get("last-event-id") == "0":
            return events('{"jsonrpc": "2.0", "id": 5, "result": {"late": true}}')
        return await server.answer(request, body)

    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        await client.answer(HELLO)
        await client.send(CALL)
        assert await client.message() == note
        assert (await client.message())["result"] == {"late": True}
    assert endpoint.methods.count("tools/call") == 1
