"""Ways around what a token may do with the host's MCP servers, and that they lead nowhere."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference

from fairlead_sidecar.config import McpServer, Permission, Policy, SecretValue, ToolSelection
from fairlead_sidecar.upstream.errors import Exited
from fairlead_sidecar.upstream.server import UpstreamServer
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.spec import Json
from tests.integration.app.endpoint import ERAS, RunningEndpoint, modern_headers, request, until
from tests.integration.app.hosted import HANDSHAKE, ROOT, SshdFactory, alone, hosting, stdio
from tests.integration.sshd import PATIENCE_SECONDS

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")

MISBEHAVING = ROOT / "tests" / "integration" / "app" / "misbehaving.py"


def misbehaving(name: str, **answers: Any) -> McpServer:
    """A server that answers so; `__` stands for the slash of a method."""
    told = {method.replace("__", "/"): answer for method, answer in answers.items()}
    return stdio(name, json.dumps(told), script=MISBEHAVING)


def tool(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **members}


def text(result: Any) -> str:
    return str(result.content[0].text)


async def token_for(endpoint: RunningEndpoint, *permissions: Permission, **selection: Any) -> str:
    token, grant = endpoint.keyring.grant(*permissions)
    grant = grant.model_copy(update={"tools": ToolSelection(**selection)})
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    return token


async def test_resources_are_watched_only_by_those_who_may_read_them(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        without = await token_for(endpoint, Permission.VIEW)
        other = await token_for(endpoint, Permission.CALL, allow=("new__*",))
        for token in (without, other):
            async with endpoint.client("legacy", token) as client:
                with pytest.raises(MCPError, match="token"):
                    await client.subscribe_resource("box://static")
            assert endpoint.audit("call")[-1]["decision"] == "deny"
        async with endpoint.client("legacy") as client:
            await client.subscribe_resource("box://static")
        line = endpoint.audit("call")[-1]
        assert (line["tool"], line["server"], line["about"]) == ("resources/subscribe", "old", "box://static")


async def test_what_a_server_calls_a_tool_is_no_way_around_the_name_that_is_denied(sshd_factory: SshdFactory) -> None:
    # The first one's name looks as if it had been made from the second one's.
    server = misbehaving("s", tools__list={"tools": [tool("a_b_c0f8a0"), tool("a b"), tool("delete")]})
    async with hosting(sshd_factory, server) as endpoint:
        async with endpoint.client() as client:
            names = [found.name for found in (await client.list_tools()).tools if found.name.startswith("s__")]
        token = await token_for(endpoint, *Permission, deny=("s__delete", names[1]))
        async with endpoint.client("auto", token) as client:
            for name in ("s__a b", "s__delete ", "s__Delete", "s__unlisted"):
                result = await client.call_tool(name, {})
                assert result.is_error, name
                assert "permission_denied" in str(result.structured_content), name
            assert text(await client.call_tool("s__a_b_c0f8a0", {})) == "a_b_c0f8a0"


async def test_a_private_session_does_nothing_on_a_read_only_host_while_its_server_is_down(
    sshd_factory: SshdFactory,
) -> None:
    server = stdio("old", HANDSHAKE, isolation="PerSession")
    async with (
        hosting(sshd_factory, server, policy=Policy(read_only=True)) as endpoint,
        endpoint.client("legacy") as client,
    ):
        assert text(await client.call_tool("old__echo", {"text": "yes"})) == "yes"
        upstream = endpoint.sidecar.upstreams.all()["old"]
        assert isinstance(upstream, UpstreamServer)
        shared = upstream._session
        assert shared is not None
        shared.end(Exited("It ended."))
        await until(lambda: not upstream.status().ready, "the server to be down")
        result = await client.call_tool("old__pid", {})
        assert result.is_error


async def test_a_reference_is_what_its_type_says(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        token = await token_for(endpoint, Permission.CALL, allow=("old__greet",))
        async with endpoint.client("legacy", token) as client:
            prompt = PromptReference(type="ref/prompt", name="old__greet")
            found = await client.complete(prompt, {"name": "who", "value": "x"})
            assert found.completion.values == ["x-ref/prompt"]
        ref = {"type": "ref/resource", "uri": "box://items/{item}", "name": "old__greet"}
        message = request("completion/complete", {"ref": ref, "argument": {"name": "item", "value": "x"}}, modern=True)
        async with endpoint.http(token) as http:
            answer = await http.post(endpoint.url, json=message, headers=modern_headers(message))
        assert "may not use" in answer.json()["error"]["message"]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_that_lists_nonsense_takes_no_list_with_it(sshd_factory: SshdFactory, mode: str) -> None:
    listed = [
        tool("a", description=5),
        {"name": "b", "inputSchema": {}},
        tool("c", outputSchema={"type": "array"}),
        tool("d", icons="none"),
    ]
    async with (
        hosting(sshd_factory, misbehaving("bad", tools__list={"tools": listed}), stdio("old", HANDSHAKE)) as endpoint,
        endpoint.client(mode) as client,
    ):
        tools = {found.name: found for found in (await client.list_tools()).tools}
        assert {"old__echo", "bad__c"} <= tools.keys()
        assert not {"bad__a", "bad__b", "bad__d"} & tools.keys()
        assert (tools["bad__c"].output_schema is None) == (mode == "legacy")


async def test_who_may_not_use_a_server_does_not_set_its_log_level(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        without = await token_for(endpoint, Permission.VIEW)
        async with endpoint.client("legacy", without) as stranger, endpoint.client("legacy") as client:
            await stranger.set_logging_level("debug")
            await client.set_logging_level("error")
            await until_level(client, "error")


async def until_level(client: Client, wanted: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (level := text(await client.call_tool("old__level", {}))) != wanted:
            assert level == "none"


async def test_what_a_server_says_of_itself_is_masked_and_for_those_who_may_use_it(
    sshd_factory: SshdFactory, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("right tool")
    policy = Policy(redact=(SecretValue(file=secret, name="tool"),))
    async with hosting(sshd_factory, stdio("old", HANDSHAKE), policy=policy) as endpoint:
        other = await token_for(endpoint, Permission.CALL, allow=("new__*",))
        for mode in ERAS:
            async with endpoint.client(mode) as client, alone(endpoint, "old", mode) as single:
                for told in (client.instructions or "", single.instructions or ""):
                    assert "Use the" in told
                    assert "right tool" not in told
            async with alone(endpoint, "old", mode, other) as single:
                assert "Use the" not in (single.instructions or "")


@pytest.mark.parametrize("mode", ERAS)
async def test_a_revoked_token_that_watched_something_leaves_no_session_behind(
    sshd_factory: SshdFactory, mode: str
) -> None:
    name = "old"
    async with hosting(sshd_factory, stdio(name, HANDSHAKE, isolation="PerSession")) as endpoint:
        kept = endpoint.config.tokens
        token = await token_for(endpoint, Permission.CALL)
        upstream = endpoint.sidecar.upstreams.all()[name]
        assert isinstance(upstream, UpstreamServer)
        held = upstream._private._held
        opened: list[str] = []
        open_session = upstream._private._open

        def counted(client: str, capabilities: Json | None) -> contextlib.AbstractAsyncContextManager[UpstreamSession]:
            opened.append(client)
            return open_session(client, capabilities)

        upstream._private._open = counted
        with contextlib.suppress(Exception):  # what the client makes of the end of its session is its own matter
            async with endpoint.client(mode, token) as client, contextlib.AsyncExitStack() as stack:
                if mode == "legacy":
                    for uri in ("box://static", "box://items/1", "box://items/2"):
                        await client.subscribe_resource(uri)
                else:
                    await stack.enter_async_context(client.listen(resource_subscriptions=["box://static"]))
                await until(lambda: len(held) == 1, "the client's session")
                endpoint.reconfigure(tokens=kept)
                await until(lambda: not held, "the session to end")
                await asyncio.sleep(1)
        assert (len(opened), held) == (1, {})


async def test_the_status_does_not_grow_with_what_a_server_calls_itself(sshd_factory: SshdFactory) -> None:
    info = {"name": "x" * 40_000, "version": "1" * 40_000}
    async with hosting(sshd_factory, misbehaving("s", initialize={"serverInfo": info})) as endpoint:
        assert len(endpoint.sidecar.status().model_dump_json()) < 10_000
