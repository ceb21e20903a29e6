"""The MCP servers of a host, all together at the host's endpoint and each alone at its own."""

from typing import Any

import mcp_types as types
import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client

from fairlead_sidecar.config import Permission
from fairlead_sidecar.upstream import server as server_module
from tests.integration.app.endpoint import (
    ERAS,
    PATH,
    RunningEndpoint,
    call,
    initialize,
    lines_of,
    modern_headers,
    request,
    until,
)
from tests.integration.app.hosted import DIFFICULT, HANDSHAKE, SshdFactory, alone, hosting, ready, stdio


def text(result: Any) -> str:
    return result.content[0].text if result.content else ""


@pytest.mark.parametrize("mode", ERAS)
async def test_everything_of_a_server_is_there_under_its_name(sshd_factory: SshdFactory, mode: str) -> None:
    async with hosting(sshd_factory) as endpoint, endpoint.client(mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert "connection_status" in tools
        for server in ("old", "new"):
            assert f"{server}__echo" in tools
            assert f"{server}__odd_name_with__signs_c7f6ad" in tools
            assert text(await client.call_tool(f"{server}__odd_name_with__signs_c7f6ad", {})) == "odd"
            assert text(await client.call_tool(f"{server}__echo", {"text": server})) == server
            prompt = await client.get_prompt(f"{server}__greet", {"who": "you"})
            assert prompt.messages[0].content == types.TextContent(type="text", text="Hello you")
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert prompts[-2:] == ["old__greet", "new__greet"]


@pytest.mark.parametrize("mode", ERAS)
async def test_resources_keep_their_uris_and_the_later_server_gives_way(sshd_factory: SshdFactory, mode: str) -> None:
    async with hosting(sshd_factory) as endpoint, endpoint.client(mode) as client:
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        assert listed == ["ssh://web-01/~/", "box://static", "new+box://static"]
        templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        assert templates == ["ssh://web-01/{+path}", "box://items/{item}", "new+box://items/{item}"]
        for uri, content in {
            "box://static": "static",
            "new+box://static": "static",
            "box://items/7": "item 7",
            "old+box://items/8": "item 8",
        }.items():
            (found,) = (await client.read_resource(uri)).contents
            assert isinstance(found, types.TextResourceContents)
            assert found.text == content
        ref = types.ResourceTemplateReference(type="ref/resource", uri="new+box://items/{item}")
        completed = await client.complete(ref, {"name": "item", "value": "x"})
        assert completed.completion.values == ["x-ref/resource"]
        prompt = types.PromptReference(type="ref/prompt", name="old__greet")
        assert (await client.complete(prompt, {"name": "who", "value": "y"})).completion.values == ["y-ref/prompt"]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_alone_is_as_it_is_itself(sshd_factory: SshdFactory, mode: str) -> None:
    async with hosting(sshd_factory) as endpoint, alone(endpoint, "old", mode) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.title) == ("toolbox", "Tool box")
        assert client.instructions == "Use the right tool."
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert tools[0] == "echo"
        assert "connection_status" not in tools
        assert "odd name/with: signs" in tools
        assert text(await client.call_tool("odd name/with: signs", {})) == "odd"
        assert [str(found.uri) for found in (await client.list_resources()).resources] == ["box://static"]
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["greet"]
        (found,) = (await client.read_resource("box://items/1")).contents
        assert found == types.TextResourceContents(uri="box://items/1", mime_type="text/plain", text="item 1")


async def test_clients_of_the_oldest_transport_have_them_too(sshd_factory: SshdFactory) -> None:
    async with (
        hosting(sshd_factory) as endpoint,
        sse_client(f"{endpoint.origin}{PATH}/sse", headers=endpoint.bearer()) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        assert "new__echo" in [tool.name for tool in (await session.list_tools()).tools]
        for server in ("old", "new"):
            assert text(await session.call_tool(f"{server}__echo", {"text": server})) == server


async def test_a_session_is_of_use_only_where_it_was_opened(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory) as endpoint, endpoint.http() as http:
        own = f"{endpoint.origin}{PATH}/servers/old/mcp"
        session = await initialize(http, own)
        for url in (endpoint.url, f"{endpoint.origin}{PATH}/servers/new/mcp"):
            assert (await http.post(url, json=request("tools/list"), headers=session)).status_code == 404
        assert (await http.post(own, json=request("tools/list"), headers=session)).status_code == 200


async def test_what_a_server_says_passes_unchanged(sshd_factory: SshdFactory) -> None:
    """Also what no version of the protocol knows."""
    script = (
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    m = json.loads(line)\n"
        "    r = {'initialize': {'protocolVersion': '2025-06-18', 'capabilities': {'tools': {}}, 'serverInfo':"
        " {'name': 's', 'version': '1'}}, 'tools/list': {'tools': [{'name': 't', 'inputSchema': {'type': 'object'},"
        " 'x-future': [1, None]}]}, 'tools/call': {'content': [{'type': 'hologram', 'x': {'y': None}}], 'z': 1.5,"
        " '_meta': {'a/b': m.get('params')}}}.get(m.get('method'))\n"
        "    if 'id' in m: print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], **({'result': r} if r is not None else"
        " {'error': {'code': -32601, 'message': 'no', 'data': [7]}})}), flush=True)\n"
    )
    server = stdio("odd").model_copy()
    server = server.model_copy(update={"server": server.server.model_copy(update={"args": ("-c", script)})})
    async with hosting(sshd_factory, server) as endpoint, endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        for modern in (False, True):
            message = call("odd__t", modern=modern, a=1)
            headers = modern_headers(message) if modern else session
            (answer,) = [
                line
                for line in lines_of(await http.post(endpoint.url, json=message, headers=headers))
                if "result" in line
            ]
            result = answer["result"]
            assert result["content"] == [{"type": "hologram", "x": {"y": None}}]
            assert result["z"] == 1.5
            assert result["_meta"]["a/b"] == {"name": "t", "arguments": {"a": 1}}
            listing = request("tools/list", modern=modern)
            headers = modern_headers(listing) if modern else session
            (answer,) = lines_of(await http.post(endpoint.url, json=listing, headers=headers))
            assert {"name": "odd__t", "inputSchema": {"type": "object"}, "x-future": [1, None]} in answer["result"][
                "tools"
            ]


async def test_an_unknown_server_is_told_apart_only_to_those_who_may_know(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory) as endpoint:
        token, grant = endpoint.keyring.grant(Permission.VIEW, Permission.READ)
        endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
        await endpoint.settled()
        message = request("tools/list", modern=True)
        url = f"{endpoint.origin}{PATH}/servers/other/mcp"
        async with endpoint.http() as http, endpoint.http(token) as other:
            answer = await http.post(url, json=message, headers=modern_headers(message))
            assert (answer.status_code, answer.json()["message"]) == (
                404,
                "The host has no MCP server of this name; its MCP servers are: old, new.",
            )
            for name in ("other", "old"):
                refused = await other.post(url.replace("other", name), json=message, headers=modern_headers(message))
                assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
                assert "fairlead:call" in refused.headers["www-authenticate"]
                assert "new" not in refused.text


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_that_is_down_says_why_and_takes_nothing_with_it(sshd_factory: SshdFactory, mode: str) -> None:
    servers = (stdio("dead", "crash", script=DIFFICULT), stdio("old", HANDSHAKE))
    async with hosting(sshd_factory, *servers, connected=("old",)) as endpoint:

        def crashed() -> bool:
            return endpoint.sidecar.status().mcp_servers[0].reason == "StartFailed"

        await until(crashed, "the server to be given up for now")
        async with endpoint.client(mode) as client, alone(endpoint, "dead", mode) as single:
            assert not any(tool.name.startswith("dead__") for tool in (await client.list_tools()).tools)
            assert (await single.list_tools()).tools == []
            assert "dead does not work now" in (single.instructions or "")
            for result in (await client.call_tool("dead__echo", {}), await single.call_tool("echo", {})):
                assert result.is_error
                assert result.structured_content is not None
                assert result.structured_content["code"] in {"mcp_server_start_failed", "mcp_server_starting"}
            assert text(await client.call_tool("old__echo", {"text": "alive"})) == "alive"


async def test_own_sessions_end_with_the_server(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory) as endpoint, endpoint.http() as http:
        own = f"{endpoint.origin}{PATH}/servers/old/mcp"
        session = await initialize(http, own)
        kept = await initialize(http, endpoint.url)
        endpoint.reconfigure(mcp_servers=tuple(s for s in endpoint.config.mcp_servers if s.name == "new"))
        await endpoint.settled()
        await until(lambda: endpoint.sidecar.sessions.count() == 1, "its session to end")
        assert (await http.post(own, json=request("ping"), headers=session)).status_code == 404
        assert (await http.post(endpoint.url, json=request("ping"), headers=kept)).status_code == 200


async def test_status_and_metrics_tell_how_servers_stand(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint, endpoint.http() as http:
        status = endpoint.sidecar.status()
        assert [(server.name, server.ready, server.server_name) for server in status.mcp_servers] == [
            ("old", True, "toolbox")
        ]
        active = endpoint.sidecar.active
        assert active is not None
        assert status.tool_count == len(active.tools) + status.mcp_servers[0].tool_count
        async with endpoint.client() as client:
            await client.call_tool("old__echo", {"text": "x"})
            await client.call_tool("old__die", {})
        wanted = (
            'fairlead_mcp_server_up{server="old"} 1.0',
            'fairlead_mcp_server_restarts_total{server="old"} 1.0',
            'fairlead_mcp_server_calls_total{method="tools/call",outcome="ok",server="old"} 1.0',
            'fairlead_mcp_server_calls_total{method="tools/call",outcome="mcp_server_exited",server="old"} 1.0',
        )

        async def measured() -> bool:
            metrics = (await http.get(f"{endpoint.internal_url}/metrics")).text
            return all(line in metrics for line in wanted)

        await until(measured, "the metrics")


@pytest.mark.parametrize("mode", ERAS)
async def test_clients_are_told_when_tools_vanish_and_return(
    sshd_factory: SshdFactory, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    # As long as a slow machine needs to see that they have vanished.
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 3.0)
    async with hosting(sshd_factory) as endpoint:
        await _watch(endpoint, mode)


async def _watch(endpoint: RunningEndpoint, mode: str) -> None:
    told: list[object] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            told.append(message)

    async with endpoint.client(mode, message_handler=on_message) as client:
        subscription = client.listen(tools_list_changed=True) if mode == "auto" else None
        if subscription is not None:
            stream = await subscription.__aenter__()
        try:

            async def news() -> None:
                if subscription is not None:
                    await anext(aiter(stream))
                else:
                    await until(lambda: bool(told), "the news")
                    told.clear()

            async def has(name: str) -> bool:
                listed = await client.list_tools(cache_mode="refresh")
                return name in [tool.name for tool in listed.tools]

            await client.call_tool("new__grow", {"name": "later"})
            await news()
            assert await has("new__later")
            await client.call_tool("old__die", {})
            await news()
            assert not await has("old__echo")
            assert await has("new__echo")
            await ready(endpoint, "old")
            await news()
            assert await has("old__echo")
        finally:
            if subscription is not None:
                await subscription.__aexit__(None, None, None)
