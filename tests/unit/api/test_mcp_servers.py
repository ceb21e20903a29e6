"""Upstream MCP servers and the selection of tools, as the API's models take and refuse them."""

import importlib
import pkgutil
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fairlead_api import McpToken, RemoteHost, conditions, http_headers
from fairlead_sidecar import upstream
from fairlead_sidecar.upstream import errors
from fairlead_sidecar.upstream import http_headers as sidecar_headers
from tests.unit.api.objects import PUBLIC_KEY, mcp_token, remote_host

REF = {"secretKeyRef": {"name": "app", "key": "token"}}
STDIO: dict[str, Any] = {"name": "hn", "type": "Stdio", "stdio": {"command": "uvx"}}
HTTP: dict[str, Any] = {"name": "app", "type": "HTTP", "http": {"url": "http://127.0.0.1:8080/mcp"}}
SSH: dict[str, Any] = {
    "name": "m2m",
    "type": "SSH",
    "ssh": {
        "port": 8022,
        "username": "mcp",
        "auth": {"type": "Secret", "secret": {"name": "m2m-ssh"}},
        "hostKey": {"type": "KeyServer", "keyServer": {"url": "http://127.0.0.1:8000"}},
    },
}


def stdio(**fields: Any) -> dict[str, Any]:
    return STDIO | {"stdio": {"command": "uvx", **fields}}


def http(**fields: Any) -> dict[str, Any]:
    return HTTP | {"http": HTTP["http"] | fields}


def ssh(**fields: Any) -> dict[str, Any]:
    return SSH | {"ssh": SSH["ssh"] | fields}


def test_a_server_of_each_type_is_read_with_its_defaults() -> None:
    spec = RemoteHost.model_validate(remote_host(mcpServers=[STDIO, HTTP, SSH])).spec

    assert spec.mcp_servers is not None
    hn, app, m2m = spec.mcp_servers
    assert hn.stdio is not None
    assert hn.isolation == "Shared"
    assert hn.start_timeout == timedelta(seconds=30)
    assert app.http is not None
    assert app.http.transport == "StreamableHTTP"
    assert m2m.ssh is not None
    assert m2m.ssh.address == "127.0.0.1"
    assert m2m.ssh.command is None


@pytest.mark.parametrize(
    ("servers", "problem"),
    [
        ([], "at least 1 item"),
        ([STDIO, STDIO], "the name 'hn' occurs twice"),
        ([STDIO | {"type": "HTTP"}], "stdio belongs to type Stdio only"),
        ([HTTP | {"type": "SSH"}], "http belongs to type HTTP only"),
        ([{"name": "hn", "type": "Stdio"}], "type Stdio needs the member stdio"),
        ([{"name": "app", "type": "HTTP"}], "type HTTP needs the member http"),
        ([{"name": "m2m", "type": "SSH"}], "type SSH needs the member ssh"),
        ([stdio(env=[{"name": "A"}])], "exactly one of value and valueFrom"),
        ([stdio(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])], "the name 'A' occurs twice"),
        ([stdio(workingDirectory="srv")], "is no absolute path"),
        ([http(transport="WebSocket")], "'StreamableHTTP' or 'SSE'"),
        ([http(headers=[{"name": "Host", "value": "a"}])], "Host is set by Fairlead itself"),
        ([http(headers=[{"name": "mcp-session-id", "value": "a"}])], "is set by Fairlead itself"),
        ([http(headers=[{"name": "A: b", "value": "c"}])], "is no name of a header"),
        ([http(headers=[{"name": "A", "value": "b", "valueFrom": REF}])], "exactly one of value and valueFrom"),
        ([http(headers=[{"name": "A", "value": "b"}, {"name": "a", "value": "c"}])], "the name 'a' occurs twice"),
        ([ssh(port=None)], "valid integer"),
        ([ssh(auth={"type": "Generated"})], "Input should be 'Secret'"),
        ([ssh(hostKey={"type": "Off"})], "'Pinned', 'Authority' or 'KeyServer'"),
        ([ssh(hostKey={"type": "KeyServer"})], "type KeyServer needs the member keyServer"),
        ([ssh(hostKey={"type": "KeyServer", "keyServer": {"url": "http://10.0.0.1:8000"}})], "over plain http"),
        ([ssh(hostKey={"type": "Pinned", "pinned": {"publicKeys": [PUBLIC_KEY] * 5}})], "at most 4 items"),
    ],
)
def test_a_server_that_the_api_server_would_refuse_is_refused_here_too(servers: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        RemoteHost.model_validate(remote_host(mcpServers=servers))


def test_a_token_selects_tools_by_name() -> None:
    tools = McpToken.model_validate(mcp_token(tools={"allow": ["hn__*"], "deny": ["*_delete?"]})).spec.tools

    assert tools is not None
    assert tools.allow == ("hn__*",)
    assert tools.deny == ("*_delete?",)


@pytest.mark.parametrize("tools", [{}, {"allow": []}, {"deny": []}, {"allow": ["a"], "only": ["b"]}])
def test_a_selection_that_selects_nothing_is_refused(tools: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        McpToken.model_validate(mcp_token(tools=tools))


def test_every_failure_of_an_upstream_server_is_a_documented_reason() -> None:
    for module in pkgutil.iter_modules(upstream.__path__, f"{upstream.__name__}."):
        importlib.import_module(module.name)

    def family(error: type[errors.UpstreamError]) -> set[str]:
        return {error.reason}.union(*(family(child) for child in error.__subclasses__()))

    assert family(errors.UpstreamError) <= {reason.value for reason in conditions.McpServerReason}


def test_the_headers_that_are_refused_at_apply_are_those_that_the_sidecar_refuses() -> None:
    # The API knows nothing of the sidecar, nor that of the API, so both say it.
    assert frozenset(http_headers._KEPT) == sidecar_headers._OURS
