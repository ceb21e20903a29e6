"""Who may use which of the host's MCP servers, and what is written about it."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import Limits, Permission, Policy, SecretValue, ToolSelection
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
from tests.integration.app.hosted import HANDSHAKE, SshdFactory, alone, hosting, stdio


def text(result: Any) -> str:
    return result.content[0].text if result.content else ""


async def token_for(endpoint: RunningEndpoint, *permissions: Permission, **selection: Any) -> str:
    token, grant = endpoint.keyring.grant(*permissions)
    grant = grant.model_copy(update={"tools": ToolSelection(**selection)})
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    return token


async def refused(endpoint: RunningEndpoint, token: str, message: dict[str, Any], path: str = "/mcp") -> httpx.Response:
    async with endpoint.http(token) as http:
        headers = modern_headers(message)
        return await http.post(f"{endpoint.origin}{PATH}{path}", json=message, headers=headers)


@pytest.mark.parametrize("mode", ERAS)
async def test_without_the_permission_nothing_of_servers_is_there(sshd_factory: SshdFactory, mode: str) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        token = await token_for(endpoint, Permission.VIEW, Permission.READ)
        async with endpoint.client(mode, token) as client:
            assert not [tool.name for tool in (await client.list_tools()).tools if "__" in tool.name]
            assert not [prompt.name for prompt in (await client.list_prompts()).prompts if "__" in prompt.name]
            assert [str(found.uri) for found in (await client.list_resources()).resources] == ["ssh://web-01/~/"]
            assert "old" not in (client.instructions or "")
            with pytest.raises(MCPError):
                await client.read_resource("box://static")
        answer = await refused(endpoint, token, call("old__echo", modern=True, text="x"))
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
        assert 'scope="fairlead:view fairlead:read fairlead:call"' in answer.headers["www-authenticate"]
        assert endpoint.audit("denial")[-1]["tool"] == "old__echo"


@pytest.mark.parametrize("mode", ERAS)
async def test_a_selection_binds_tools_prompts_and_resources_wherever_they_are_called(
    sshd_factory: SshdFactory, mode: str
) -> None:
    async with hosting(sshd_factory) as endpoint:
        token = await token_for(endpoint, allow=("old__*", "connection_status"), deny=("*__die",))
        async with endpoint.client(mode, token) as client, alone(endpoint, "new", mode, token) as other:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names[0] == "connection_status"
            assert all(name.startswith("old__") for name in names[1:])
            assert "old__die" not in names
            assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["old__greet"]
            assert [str(found.uri) for found in (await client.list_resources()).resources] == ["box://static"]
            assert text(await client.call_tool("old__echo", {"text": "yes"})) == "yes"
            assert (await other.list_tools()).tools == []
            assert (await other.list_resources()).resources == []
            with pytest.raises(MCPError, match="may not use"):
                await other.read_resource("box://static")
        for name, path in (
            ("old__die", "/mcp"),
            ("new__echo", "/mcp"),
            ("execute_command", "/mcp"),
            ("echo", "/servers/new/mcp"),
            ("odd name/with: signs", "/servers/new/mcp"),
        ):
            answer = await refused(endpoint, token, call(name, modern=True), path)
            assert (answer.status_code, answer.json()["error"]) == (403, "permission_denied")
            assert "may not use the tool" in answer.json()["message"]


async def test_a_call_is_cut_whose_tool_the_token_loses(sshd_factory: SshdFactory, tmp_path: Path) -> None:
    file = tmp_path / "state"
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint, endpoint.client() as client:
        waiting = asyncio.create_task(client.call_tool("old__wait", {"seconds": 60, "file": str(file)}))
        await until(lambda: file.exists() and file.read_text() == "begun", "the call to reach the server")
        (grant,) = endpoint.config.tokens
        endpoint.reconfigure(tokens=(grant.model_copy(update={"tools": ToolSelection(deny=("*__wait",))}),))
        async with asyncio.timeout(5):
            result = await waiting
        assert result.is_error
        assert "lost the tool old__wait" in text(result)
        await until(lambda: file.read_text() == "cancelled", "the server to be told")


@pytest.mark.parametrize("mode", ERAS)
async def test_a_revoked_token_ends_its_calls(sshd_factory: SshdFactory, tmp_path: Path, mode: str) -> None:
    file = tmp_path / "state"
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        kept = endpoint.config.tokens
        token = await token_for(endpoint, Permission.CALL)
        async with endpoint.http(token) as http:
            headers = {} if mode == "auto" else await initialize(http, endpoint.url)
            message = call("old__wait", modern=mode == "auto", seconds=60, file=str(file))
            headers = headers or modern_headers(message)
            waiting = asyncio.create_task(http.post(endpoint.url, json=message, headers=headers))
            await until(lambda: file.exists() and file.read_text() == "begun", "the call to reach the server")
            endpoint.reconfigure(tokens=kept)
            await until(lambda: file.read_text() == "cancelled", "the server to be told", seconds=2)
            await waiting
            await until(lambda: bool(endpoint.audit("call")), "the audit line")
            assert endpoint.audit("call")[-1]["outcome"] == "token_revoked"


async def test_a_call_has_a_bound_that_progress_does_not_extend(sshd_factory: SshdFactory) -> None:
    limits = Limits(command_timeout=4.0)
    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE), limits=limits) as endpoint,
        endpoint.client() as client,
    ):
        result = await client.call_tool("old__count", {"to": 1000, "word": "on"})
        assert result.structured_content is not None
        assert result.structured_content["code"] == "call_timed_out"
        assert text(await client.call_tool("old__echo", {"text": "again"})) == "again"


async def test_a_read_only_host_has_only_tools_that_say_so(sshd_factory: SshdFactory) -> None:
    policy = Policy(read_only=True)
    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE), policy=policy) as endpoint,
        endpoint.client() as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools if tool.name.startswith("old__")]
        assert names == ["old__echo"]
        assert text(await client.call_tool("old__echo", {"text": "looks"})) == "looks"
        result = await client.call_tool("old__pid", {})
        assert result.structured_content is not None
        assert result.structured_content["code"] == "policy_denied"
        status = endpoint.sidecar.status()
        active = endpoint.sidecar.active
        assert active is not None
        assert status.tool_count == len(active.tools) + 1


async def test_a_call_is_cut_when_the_host_becomes_read_only(sshd_factory: SshdFactory, tmp_path: Path) -> None:
    file = tmp_path / "state"
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint, endpoint.client() as client:
        waiting = asyncio.create_task(client.call_tool("old__wait", {"seconds": 60, "file": str(file)}))
        await until(lambda: file.exists() and file.read_text() == "begun", "the call to reach the server")
        endpoint.reconfigure(policy=Policy(read_only=True))
        async with asyncio.timeout(5):
            result = await waiting
        assert result.structured_content is not None
        assert result.structured_content["code"] == "policy_denied"
        await until(lambda: file.read_text() == "cancelled", "the server to be told")


@pytest.mark.parametrize("mode", ERAS)
async def test_secret_values_are_masked_in_results_questions_and_progress(
    sshd_factory: SshdFactory, tmp_path: Path, mode: str
) -> None:
    secret = tmp_path / "value"
    secret.write_text("hunter2-hunter2")
    policy = Policy(redact=(SecretValue(file=secret, name="app/token"),))
    asked: list[str] = []
    heard: list[str | None] = []

    async def elicit(_ctx: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="decline")

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        assert total == progress == 1
        heard.append(message)

    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE), policy=policy) as endpoint,
        endpoint.client(mode, elicitation_callback=elicit) as client,
    ):
        word = "hunter2-hunter2"
        result = await client.call_tool("old__echo", {"text": word})
        assert text(result) == "[redacted]"
        assert result.structured_content == {"result": "[redacted]"}
        await client.call_tool("old__count", {"to": 1, "word": word}, progress_callback=progress)
        await client.call_tool("old__ask", {"about": word})
        (found,) = (await client.read_resource(f"box://items/{word}")).contents
        assert word not in found.model_dump_json()
        assert word not in endpoint.audit_stream.getvalue()
    assert (heard, asked) == (["[redacted] 1"], ["What about [redacted]?"])


async def test_each_request_is_one_line_of_the_audit_trail(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        async with endpoint.client() as client, alone(endpoint, "old") as single:
            await client.call_tool("old__echo", {"text": "x"})
            await single.call_tool("echo", {"text": "x"})
            await client.call_tool("old__echo", {})
            await client.read_resource("box://static")
        lines = [line for line in endpoint.audit("call") if "server" in line]
    told = [(line["tool"], line["server"], line["outcome"]) for line in lines]
    assert told == [
        ("old__echo", "old", "ok"),
        ("old__echo", "old", "ok"),
        ("old__echo", "old", "tool_error"),
        ("resources/read", "old", "ok"),
    ]
    digest = hashlib.sha256(b'{"text":"x"}').hexdigest()
    assert [line["arguments_sha256"] for line in lines[:2]] == [digest, digest]


async def test_the_operators_probe_neither_sees_nor_calls_tools_of_servers(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint, endpoint.http(endpoint.probe) as http:
        session = await initialize(http, endpoint.url)
        (answer,) = lines_of(await http.post(endpoint.url, json=request("tools/list"), headers=session))
        names = [tool["name"] for tool in answer["result"]["tools"]]
        assert "connection_status" in names
        assert "old__echo" not in names
        refusal = await http.post(endpoint.url, json=call("old__echo", text="x"), headers=session)
        assert refusal.status_code == 403
