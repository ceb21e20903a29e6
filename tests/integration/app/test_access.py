"""Who gets in: tokens, permissions, the probe, hosts, and what strangers learn."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from fairlead_sidecar import tokens
from fairlead_sidecar.config import Endpoint, Permission, SidecarConfig
from fairlead_sidecar.mcp_server import build_server
from fairlead_sidecar.tools.catalogue import SCOPES, TOOLS
from tests.integration.app.endpoint import (
    ACCEPT,
    ERAS,
    INITIALIZE,
    PATH,
    RunningEndpoint,
    call,
    initialize,
    lines_of,
    modern_headers,
    request,
    running,
)
from tests.integration.sshd import PATIENCE_SECONDS

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PATHS = (f"{PATH}/mcp", f"{PATH}/mcp/", PATH, "/", "/healthz", "/metrics", "/statusz", "/.well-known/anything")
both_eras = pytest.mark.parametrize("era", ERAS)


@pytest.mark.parametrize("method", METHODS)
async def test_no_token_gets_401_on_every_method_and_every_path(hostless: RunningEndpoint, method: str) -> None:
    async with httpx.AsyncClient() as http:
        for path in PATHS:
            answer = await http.request(method, hostless.origin + path)
            assert answer.status_code == 401, path
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer realm="fairlead", error="invalid_token", error_description="')
            assert answer.headers["fairlead-instance"] == hostless.config.instance
            if method != "HEAD":
                assert answer.json()["error"] == "unauthorized"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("Bearer", "malformed_token"),
        ("Basic dXNlcjpwYXNz", "malformed_token"),
        ("Bearer not-a-token", "malformed_token"),
        ("Bearer \xe4\xf6", "malformed_token"),
        pytest.param(f"Bearer {tokens.mint()}", "unknown_token", id="a token that nobody knows"),
        (f"Bearer {tokens.probe_token(b'x' * 32, 'other')}", "unknown_token"),
    ],
)
async def test_what_is_no_token_of_ours_gets_401(hostless: RunningEndpoint, authorization: str, reason: str) -> None:
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": authorization.encode("latin-1")}
        answer = await http.post(hostless.url, json=INITIALIZE, headers=headers)  # type: ignore[arg-type] # bytes too
    assert answer.status_code == 401
    assert hostless.audit("denial")[-1]["outcome"] == reason


async def test_a_right_token_with_one_changed_character_gets_401(hostless: RunningEndpoint) -> None:
    async with httpx.AsyncClient(headers=ACCEPT) as http:
        for changed in (hostless.token[:-1], hostless.token + "0", hostless.token.swapcase()):
            answer = await http.post(hostless.url, json=INITIALIZE, headers=hostless.bearer(changed))
            assert answer.status_code == 401


async def test_two_authorization_headers_get_401(hostless: RunningEndpoint) -> None:
    headers = [("Authorization", f"Bearer {hostless.token}"), ("Authorization", f"Bearer {hostless.token}")]
    async with httpx.AsyncClient(headers=ACCEPT) as http:
        assert (await http.post(hostless.url, json=INITIALIZE, headers=headers)).status_code == 401


async def test_a_token_in_the_query_string_is_not_accepted(hostless: RunningEndpoint) -> None:
    async with httpx.AsyncClient(headers=ACCEPT) as http:
        for name in ("access_token", "token", "authorization"):
            answer = await http.post(f"{hostless.url}?{name}={hostless.token}", json=INITIALIZE)
            assert answer.status_code == 401
    assert hostless.token not in hostless.audit_stream.getvalue()


async def test_an_expired_token_gets_401_that_says_so(unreachable: SidecarConfig) -> None:
    async with running(unreachable, connected=False) as hostless:
        token, grant = hostless.keyring.grant(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        hostless.reconfigure(tokens=(grant,))
        await hostless.settled()
        async with hostless.http(token) as http:
            answer = await http.post(hostless.url, json=INITIALIZE)
        assert answer.status_code == 401
        assert "expired" in answer.headers["www-authenticate"]
        line = hostless.audit("denial")[-1]
        assert (line["outcome"], line["token_id"]) == ("expired_token", grant.id)


async def test_elsewhere_there_is_a_404_in_json(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http:
        for path in ("/", PATH, f"{PATH}/mcp/x", f"{PATH}//mcp", "/mcp", "/healthz", "/metrics", "/statusz"):
            answer = await http.post(hostless.origin + path, json=INITIALIZE)
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), path


async def test_a_trailing_slash_is_tolerated(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http:
        assert (await http.post(hostless.url + "/", json=INITIALIZE)).status_code == 200


@pytest.mark.parametrize(
    ("method", "headers", "content", "status"),
    [
        ("PUT", {}, b"{}", 405),
        ("POST", {"Content-Type": "text/plain"}, b"{}", 415),
        ("POST", {"Accept": "text/html"}, json.dumps(INITIALIZE).encode(), 406),
        ("POST", {}, b"{", 400),
        ("POST", {}, b"[]", 400),
        ("POST", {}, b"\xff\xfe", 400),
        ("POST", {}, b"[" * 100_000, 400),
        ("POST", {}, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', 400),
        ("POST", {"Mcp-Session-Id": "nobody"}, json.dumps(INITIALIZE).encode(), 404),
        ("GET", {}, b"", 400),
        ("POST", {}, b"x" * (4 * 1024 * 1024 + 1), 413),
        ("GET", {"MCP-Protocol-Version": "2026-07-28"}, b"", 405),
        ("POST", {"MCP-Protocol-Version": "2026-07-28", "Accept": "text/html"}, b"{}", 406),
        ("POST", {"MCP-Protocol-Version": "2026-07-28"}, b"{", 400),
        ("POST", {"MCP-Protocol-Version": "2099-01-01"}, json.dumps(request("ping")).encode(), 400),
    ],
)
async def test_bad_requests_are_answered_in_json(
    hostless: RunningEndpoint, method: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    async with hostless.http() as http:
        answer = await http.request(method, hostless.url, headers=headers, content=content)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["error"]


async def test_a_chunked_body_beyond_the_limit_is_refused(hostless: RunningEndpoint) -> None:
    async def chunks() -> Any:
        for _ in range(5):
            yield b"x" * 1024 * 1024

    async with hostless.http() as http:
        assert (await http.post(hostless.url, content=chunks())).status_code == 413


@both_eras
async def test_tools_that_a_token_may_not_use_are_absent(hostless: RunningEndpoint, era: str) -> None:
    reading = {"read_file", "list_directory", "stat_path", "find_files", "search_files"}
    commands = {"execute_command", "execute_script", "command_output", "command_cancel", "read_output"}
    for permissions, expected in [
        ((Permission.VIEW,), {"connection_status"}),
        ((Permission.READ,), reading),
        ((Permission.VIEW, Permission.EXECUTE), {"connection_status"} | commands),
        ((Permission.WRITE,), {"write_file", "edit_file", "move_path", "delete_path", "make_directory"}),
    ]:
        token, grant = hostless.keyring.grant(*permissions)
        hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
        await hostless.settled()
        async with hostless.client(era, token) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == expected


@both_eras
async def test_groups_that_the_host_does_not_offer_are_absent(hostless: RunningEndpoint, era: str) -> None:
    hostless.reconfigure(groups=frozenset())
    await hostless.settled()
    async with hostless.client(era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["connection_status"]


async def test_a_call_without_permission_gets_403_with_the_scopes_it_needs(hostless: RunningEndpoint) -> None:
    token, grant = hostless.keyring.grant(Permission.VIEW, Permission.READ)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.http(token) as http:
        session = await initialize(http, hostless.url)
        legacy = await http.post(hostless.url, json=call("execute_command", command="id"), headers=session)
        message = call("execute_command", modern=True, command="id")
        modern = await http.post(hostless.url, json=message, headers=modern_headers(message))
    for answer in (legacy, modern):
        assert answer.status_code == 403
        assert answer.json()["error"] == "insufficient_scope"
        challenge = answer.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="fairlead:view fairlead:read fairlead:execute"' in challenge
    assert [(line["outcome"], line["tool"]) for line in hostless.audit("denial")] == [
        ("insufficient_scope", "execute_command")
    ] * 2


async def test_a_permission_taken_away_between_gate_and_tool_still_counts(hostless: RunningEndpoint) -> None:
    """The gate reads the body once, the protocol a second time: only the tool's own check is relied upon."""
    token, grant = hostless.keyring.grant(Permission.VIEW)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    # Two members of one name: whoever parses otherwise than the gate must not get more than the gate lets pass.
    body = json.dumps(call("connection_status"))
    smuggled = body.replace('"name": "connection_status"', '"name": "execute_command", "name": "connection_status"')
    turned = body.replace('"name": "connection_status"', '"name": "connection_status", "name": "execute_command"')
    async with hostless.http(token) as http:
        session = await initialize(http, hostless.url)
        for content in (smuggled, turned):
            answer = await http.post(hostless.url, content=content, headers=session)
            if answer.status_code == 200:
                (message,) = lines_of(answer)
                assert message["result"]["structuredContent"].get("state") or message["result"]["isError"]
            else:
                assert answer.status_code == 403
    assert all(line["tool"] == "connection_status" for line in hostless.audit("call"))


async def test_the_probe_may_only_initialize_ping_discover_and_list(hostless: RunningEndpoint) -> None:
    async with hostless.http(hostless.probe) as http:
        session = await initialize(http, hostless.url)
        for method in ("ping", "tools/list"):
            answer = await http.post(hostless.url, json=request(method), headers=session)
            assert answer.status_code == 200
        (listed,) = lines_of(answer)
        assert {tool["name"] for tool in listed["result"]["tools"]} == set(TOOLS)
        discover = request("server/discover", modern=True)
        assert (await http.post(hostless.url, json=discover, headers=modern_headers(discover))).status_code == 200
        for message in (call("connection_status"), call("no_such_tool"), request("resources/list"), request("x/y")):
            assert (await http.post(hostless.url, json=message, headers=session)).status_code == 403
        assert (await http.get(hostless.url, headers=session)).status_code == 403
        assert (await http.delete(hostless.url, headers=session)).status_code == 200
    assert {line["outcome"] for line in hostless.audit("denial")} == {"probe_forbidden"}


async def test_a_session_belongs_to_the_token_that_opened_it(hostless: RunningEndpoint) -> None:
    token, grant = hostless.keyring.grant()
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.http() as mine, hostless.http(token) as theirs:
        session = await initialize(mine, hostless.url)
        assert (await theirs.post(hostless.url, json=request("ping"), headers=session)).status_code == 404
        assert (await theirs.delete(hostless.url, headers=session)).status_code == 404
        assert (await mine.post(hostless.url, json=request("ping"), headers=session)).status_code == 200


async def test_foreign_host_names_are_refused_where_the_configuration_names_its_own(unreachable: SidecarConfig) -> None:
    own = Endpoint(path=PATH, allowed_hosts=("127.0.0.1:*", "mcp.example.com"))
    config = unreachable.model_copy(update={"endpoint": own})
    async with running(config, connected=False) as hostless, hostless.http() as http:
        for headers, status in [
            ({}, 200),
            ({"Host": "mcp.example.com"}, 200),
            ({"Host": "mcp.example.com", "Origin": "https://mcp.example.com"}, 200),
            ({"Host": "evil.example.com"}, 421),
            ({"Host": "mcp.example.com.evil.example.com"}, 421),
            ({"Origin": "https://evil.example.com"}, 421),
        ]:
            answer = await http.post(hostless.url, json=INITIALIZE, headers=headers)
            assert answer.status_code == status, headers


async def test_any_host_name_is_answered_where_the_configuration_names_none(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http:
        headers = {"Host": "anything.example.com", "Origin": "https://anything.example.com"}
        assert (await http.post(hostless.url, json=INITIALIZE, headers=headers)).status_code == 200


def test_scopes_and_permissions_are_one_to_one() -> None:
    assert set(SCOPES) == set(Permission)
    assert len(set(SCOPES.values())) == len(SCOPES)
    assert {tool.permission for tool in TOOLS.values()} <= set(SCOPES)
    assert isinstance(next(iter(TOOLS.values())).annotations, types.ToolAnnotations)


async def test_an_endless_request_head_is_refused_before_it_fills_memory(hostless: RunningEndpoint) -> None:
    reader, writer = await asyncio.open_connection(*hostless.public.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: ")
    with contextlib.suppress(ConnectionError):
        for _ in range(1000):
            writer.write(b"x" * 1024)
            await writer.drain()
    answer = await reader.read(1024)
    assert answer.startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_many_requests_with_large_bodies_go_over_one_connection(hostless: RunningEndpoint) -> None:
    message = call("connection_status", path="x" * 200_000)
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        for _ in range(20):
            assert (await http.post(hostless.url, json=message, headers=session)).status_code == 200
            assert (await http.post(hostless.url, json=request("ping"), headers=session)).status_code == 200


async def test_a_connection_that_never_asks_anything_is_closed(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead_sidecar.http1.HEAD_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection(*hostless.public.getsockname())
    writer.write(b"POST / HTTP/1.1\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_a_tool_checks_the_permission_itself_whatever_stands_before_it(hostless: RunningEndpoint) -> None:
    """Over stdio no gate stands before the tools."""
    token, grant = hostless.keyring.grant(Permission.VIEW)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    active = hostless.sidecar.active
    assert active is not None
    caller = active.grants.authenticate([f"Bearer {token}"])
    async with Client(build_server(hostless.sidecar, local_caller=caller)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["connection_status"]
        refused = await client.call_tool("execute_command", {"command": "id"})
        assert refused.is_error
        assert refused.structured_content is not None
        assert refused.structured_content["code"] == "permission_denied"
        assert not (await client.call_tool("connection_status", {})).is_error
    line = next(line for line in hostless.audit("call") if line["tool"] == "execute_command")
    assert (line["decision"], line["outcome"]) == ("deny", "permission_denied")


async def test_without_a_caller_nothing_is_served_over_stdio(hostless: RunningEndpoint) -> None:
    async with Client(build_server(hostless.sidecar)) as client:
        with pytest.raises(MCPError, match="no longer valid"):
            await client.list_tools()
        with pytest.raises(MCPError, match="no longer valid"):
            await client.call_tool("connection_status", {})
    (line,) = hostless.audit()
    assert (line["decision"], line["outcome"]) == ("deny", "token_revoked")
