"""Bad MCP servers and selections of tools are refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import mcp_token, remote_host
from tests.e2e.test_admission_of_hosts import KEY

TOKEN = {"secretKeyRef": {"name": "app", "key": "token"}}
EXACTLY_ONE = "set value or valueFrom: exactly one of the two"
FULL_URL = "must be a full URL as seen from the host, such as http://127.0.0.1:8080/mcp"
EMPTY = "is empty: add an entry"
PINNED = {"type": "Pinned", "pinned": {"publicKeys": [KEY]}}


@pytest.fixture
def host(admission_namespace: str) -> Object:
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY)


@pytest.fixture
def token(admission_namespace: str) -> Object:
    return mcp_token(admission_namespace, "cursor", ["web-01"], ["Call"])


def stdio(**fields: Any) -> dict[str, Any]:
    return {"name": "hn", "type": "Stdio", "stdio": {"command": "uvx", **fields}}


def http(url: str = "http://127.0.0.1:8080/mcp", **fields: Any) -> dict[str, Any]:
    return {"name": "app", "type": "HTTP", "http": {"url": url, **fields}}


def header(name: str, **value: Any) -> dict[str, Any]:
    return http(headers=[{"name": name, **(value or {"value": "x"})}])


def ssh(**fields: Any) -> dict[str, Any]:
    default = {
        "port": 8022,
        "username": "mcp",
        "auth": {"type": "Secret", "secret": {"name": "m2m-ssh"}},
        "hostKey": PINNED,
    }
    return {"name": "m2m", "type": "SSH", "ssh": {k: v for k, v in (default | fields).items() if v is not None}}


def named(name: str) -> dict[str, Any]:
    return stdio() | {"name": name}


@pytest.mark.parametrize(
    ("servers", "sentence"),
    [
        ([], "is empty: add an entry, or remove the field"),
        ([named(f"s{number}") for number in range(65)], "must have at most 64 items"),
        ([stdio(), stdio()], "Duplicate value"),
        ([named("")], "at least 1 chars long"),
        ([named("Hn")], "must be lower-case letters, digits and '-', beginning with a letter"),
        ([named("h_n")], "must be lower-case letters, digits and '-', beginning with a letter"),
        ([named("1hn")], "must be lower-case letters, digits and '-', beginning with a letter"),
        ([named("hn-")], "must be lower-case letters, digits and '-', beginning with a letter"),
        ([named("h" * 33)], "may not be more than 32 bytes"),
        ([stdio() | {"type": "Exec"}], 'supported values: "Stdio", "HTTP", "SSH"'),
        ([{"name": "hn", "type": "Stdio"}], "type Stdio needs the member stdio: add it"),
        ([{"name": "hn", "type": "HTTP"}], "type HTTP needs the member http: add it"),
        ([{"name": "hn", "type": "SSH"}], "type SSH needs the member ssh: add it"),
        ([stdio() | {"type": "HTTP"}], "stdio belongs to type Stdio only: remove stdio, or set type: Stdio"),
        ([http() | {"type": "SSH"}], "http belongs to type HTTP only: remove http, or set type: HTTP"),
        ([ssh() | {"type": "Stdio"}], "ssh belongs to type SSH only: remove ssh, or set type: SSH"),
        ([stdio() | {"isolation": "None"}], 'supported values: "Shared", "PerSession"'),
        ([stdio() | {"startTimeout": "0s"}], "must be a duration from 1s to 10m"),
        ([stdio() | {"startTimeout": "11m"}], "must be a duration from 1s to 10m"),
        ([stdio() | {"disabled": True}], "unknown field"),
        ([stdio(command="uvx mcp-hn")], "is a command line: only the program belongs here"),
        ([stdio(command="uv\0x")], "holds a NUL character"),
        ([stdio(args=[])], "is empty: add an entry, or remove the field"),
        ([stdio(args=["a\0b"])], "holds a NUL character"),
        ([stdio(env=[])], "is empty: add an entry, or remove the field"),
        ([stdio(env=[{"name": "A"}])], EXACTLY_ONE),
        ([stdio(env=[{"name": "A", "value": "b", "valueFrom": TOKEN}])], EXACTLY_ONE),
        ([stdio(env=[{"name": "A-B", "value": ""}])], "must be the name of a variable"),
        ([stdio(env=[{"name": "A", "value": ""}] * 2)], "Duplicate value"),
        ([stdio(workingDirectory="srv")], "must be an absolute path such as /srv/app"),
        ([http("127.0.0.1:8080/mcp")], FULL_URL),
        ([http("ftp://127.0.0.1/mcp")], FULL_URL),
        ([http("http://")], "at least 8 chars long"),
        ([http("http:///mcp-endpoint")], FULL_URL),
        ([http("http://:8080/mcp")], FULL_URL),
        ([http("http://a:b@127.0.0.1/mcp")], FULL_URL),
        ([http("http://token@127.0.0.1/mcp")], FULL_URL),
        ([http("http://127.0.0.1/mcp#tools")], FULL_URL),
        ([http("http://127.0.0.1/my mcp")], FULL_URL),
        ([http("http://127.0.0.1:0/mcp")], FULL_URL),
        ([http("http://127.0.0.1:808080/mcp")], FULL_URL),
        ([http("http://127.0.0.1:mcp/mcp")], FULL_URL),
        ([http("http://127.0.0.1/%zz")], FULL_URL),
        ([http(transport="WebSocket")], 'supported values: "StreamableHTTP", "SSE"'),
        ([http(headers=[])], "is empty: add an entry, or remove the field"),
        ([header("Authorization: Bearer x")], "must be the name of a header alone, such as Authorization"),
        ([header("X-Ü")], "must be the name of a header alone, such as Authorization"),
        ([header("Host")], "is a header that HTTP and MCP set by themselves: remove it"),
        ([header("content-LENGTH")], "is a header that HTTP and MCP set by themselves: remove it"),
        ([header("Transfer-Encoding")], "is a header that HTTP and MCP set by themselves: remove it"),
        ([header("connection")], "is a header that HTTP and MCP set by themselves: remove it"),
        ([header("Mcp-Session-Id")], "is a header that HTTP and MCP set by themselves: remove it"),
        ([header("MCP-Anything")], "is a header that HTTP and MCP set by themselves: remove it"),
        ([header("X", value="a\nY: b")], "must be one line of ASCII without spaces at either end"),
        ([header("X", value=" a")], "must be one line of ASCII without spaces at either end"),
        ([header("X", value="ä")], "must be one line of ASCII without spaces at either end"),
        ([header("X", value="a", valueFrom=TOKEN)], EXACTLY_ONE),
        ([http(headers=[{"name": "X"}])], EXACTLY_ONE),
        (
            [http(headers=[{"name": "X-A", "value": "a"}, {"name": "x-a", "value": "b"}])],
            "has two headers of the same name",
        ),
        ([ssh(port=None)], "port: Required value"),
        ([ssh(port=0)], "should be greater than or equal to 1"),
        ([ssh(address="mcp@host")], "must be a host name or an IP address alone"),
        ([ssh(username="a b")], "must be an account name"),
        ([ssh(auth={"type": "Generated"})], 'supported values: "Secret"'),
        ([ssh(auth={"type": "Secret"})], "type Secret needs the member secret: add it"),
        ([ssh(hostKey=None)], "hostKey: Required value"),
        ([ssh(hostKey={"type": "Off"})], 'supported values: "Pinned", "Authority", "KeyServer"'),
        ([ssh(hostKey={"type": "KeyServer"})], "type KeyServer needs the member keyServer: add it"),
        ([ssh(hostKey=PINNED | {"type": "KeyServer"})], "pinned belongs to type Pinned only"),
        ([ssh(hostKey={"type": "KeyServer", "keyServer": {"url": "localhost:8000"}})], FULL_URL),
        ([ssh(hostKey={"type": "KeyServer", "keyServer": {"url": "http://10.0.0.1:8000"}})], "use https, or pin"),
        ([ssh(hostKey={"type": "KeyServer", "keyServer": {"url": "http://127.0.0.1.evil.com"}})], "use https, or pin"),
        ([ssh(hostKey={"type": "Pinned", "pinned": {"publicKeys": []}})], EMPTY),
        ([ssh(command="a\0b")], "holds a NUL character"),
    ],
)
def test_a_bad_mcp_server_is_refused_with_what_to_change(
    kube: Kube, host: Object, servers: list[Any], sentence: str
) -> None:
    assert sentence in refusal(kube, changed(host, "spec.mcpServers", servers))


@pytest.mark.parametrize(
    "server",
    [
        stdio(args=["", "-y", "@scope/server-memory", "ünïcode"], workingDirectory="/srv/app"),
        stdio(command="/opt/my tools/server", env=[{"name": "A", "value": ""}, {"name": "B", "valueFrom": TOKEN}]),
        named("a--b-2") | {"isolation": "PerSession", "startTimeout": "10m"},
        http("https://reports.internal/sse?team=a@b", transport="SSE"),
        http("http://[::1]:8080/mcp"),
        http("http://localhost"),
        header("Authorization", valueFrom=TOKEN),
        header("X-Api-Key", value="a b c"),
        ssh(),
        ssh(address="tools.internal", hostKey={"type": "Authority", "authority": {"publicKeys": [KEY]}}, command="mcp"),
        ssh(hostKey={"type": "KeyServer", "keyServer": {"url": "http://127.0.0.1:8000"}}),
        ssh(hostKey={"type": "KeyServer", "keyServer": {"url": "https://keys.internal/m2m"}}),
    ],
    ids=lambda server: server["type"],
)
def test_a_good_mcp_server_is_stored_as_it_was_written_with_defaults(
    kube: Kube, host: Object, server: dict[str, Any]
) -> None:
    (stored,) = admitted(kube, changed(host, "spec.mcpServers", [server]))["spec"]["mcpServers"]
    member = server["type"].lower()
    defaults = {"stdio": {}, "http": {"transport": "StreamableHTTP"}, "ssh": {"address": "127.0.0.1"}}[member]
    assert stored == {"isolation": "Shared", "startTimeout": "30s"} | server | {member: defaults | server[member]}


def test_as_many_servers_as_there_may_be_are_admitted(kube: Kube, host: Object) -> None:
    servers = [named(f"s{number}") for number in range(64)]
    assert len(admitted(kube, changed(host, "spec.mcpServers", servers))["spec"]["mcpServers"]) == 64


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        ({}, "is empty: set allow or deny, or remove tools"),
        ({"allow": []}, "is empty: add an entry, or remove the field"),
        ({"deny": []}, "is empty: add an entry, or remove the field"),
        ({"allow": [""]}, "at least 1 chars long"),
        ({"allow": ["hn/*"]}, "must be the name of a tool, in which * stands for any characters"),
        ({"deny": ["[a-z]*"]}, "must be the name of a tool, in which * stands for any characters"),
        ({"deny": ["a b"]}, "must be the name of a tool, in which * stands for any characters"),
        ({"deny": ["*", "*"]}, "Duplicate value"),
        ({"allow": [f"t{number}" for number in range(129)]}, "must have at most 128 items"),
        ({"only": ["a"]}, "unknown field"),
    ],
)
def test_a_bad_selection_of_tools_is_refused_with_what_to_change(
    kube: Kube, token: Object, tools: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(kube, changed(token, "spec.tools", tools))


def test_a_selection_of_tools_is_stored_as_it_was_written(kube: Kube, token: Object) -> None:
    tools = {"allow": ["hn__*", "run_?", "*"], "deny": ["app__delete.all"]}
    assert admitted(kube, changed(token, "spec.tools", tools))["spec"]["tools"] == tools
