"""A client's file of MCP servers, as `fairlead serve --mcp-servers` reads it."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairlead_client.serve.host_file import HostFileError
from fairlead_client.serve.servers_file import ServersFile, valid_name


def read(tmp_path: Path, content: Any, **own: str) -> ServersFile:
    file = tmp_path / "servers_config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return ServersFile(file, own)


def test_the_familiar_file_is_taken_as_it_is(tmp_path: Path) -> None:
    hn = {"command": "uvx", "args": ["mcp-hn"], "env": {"API_KEY": "x=1 2", "PORT": 8080}}
    found = read(tmp_path, {"mcpServers": {"hn": hn}})
    assert found.notes == []
    stdio = {
        "command": "uvx",
        "args": ["mcp-hn"],
        "env": [{"name": "API_KEY", "value": "x=1 2"}, {"name": "PORT", "value": "8080"}],
    }
    assert found.servers == [{"name": "hn", "type": "Stdio", "stdio": stdio}]


def test_the_file_of_vs_code_is_taken_too(tmp_path: Path) -> None:
    servers = {
        "files": {"type": "stdio", "command": "npx", "args": ["-y", "server"], "cwd": "/srv"},
        "app": {"type": "http", "url": "http://127.0.0.1:8080/mcp", "headers": {"Authorization": "Bearer ${env:T}"}},
        "old": {"type": "sse", "url": "http://127.0.0.1:8081/events"},
    }
    files, app, old = read(tmp_path, {"inputs": [], "servers": servers}, T="secret").servers
    assert files["stdio"]["workingDirectory"] == "/srv"
    assert app["http"]["transport"] == "StreamableHTTP"
    assert app["http"]["headers"] == [{"name": "Authorization", "value": "Bearer secret"}]
    assert old["http"]["transport"] == "SSE"


@pytest.mark.parametrize(
    ("url", "transport"), [("http://127.0.0.1:1/mcp", "StreamableHTTP"), ("http://127.0.0.1:1/sse/", "SSE")]
)
def test_without_a_type_the_url_tells_the_transport(tmp_path: Path, url: str, transport: str) -> None:
    (server,) = read(tmp_path, {"mcpServers": {"app": {"url": url}}}).servers
    assert server["http"]["transport"] == transport


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("hn", "hn"),
        ("Hacker News", "hacker-news"),
        ("@scope/server_X", "scope-server-x"),
        ("42", "s-42"),
        ("ü", ""),
        ("a" * 31 + "-b", "a" * 31),
    ],
)
def test_names_are_made_valid_always_in_the_same_way(name: str, valid: str) -> None:
    assert valid_name(name) == valid


def test_what_is_changed_or_passed_over_is_said(tmp_path: Path) -> None:
    servers = {
        "My Server": {"command": "x", "autoApprove": ["a"], "disabled": False, "timeout": 60},
        "off": {"command": "y", "disabled": True},
    }
    found = read(tmp_path, {"mcpServers": servers})
    assert [server["name"] for server in found.servers] == ["my-server"]
    assert found.notes == [
        "mcpServers.My Server: it is called 'my-server' here",
        "mcpServers.My Server: ignored: autoApprove, timeout",
        "mcpServers.off: it is disabled, and left out",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is no JSON: "),
        ("[]", "must hold"),
        ({"mcpServers": {}, "servers": {}}, "must hold"),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', "'a' occurs twice"),
        ({"mcpServers": {"a": []}}, "mcpServers.a: must be an object"),
        ({"mcpServers": {"a": {}}}, "mcpServers.a: needs command, or url"),
        ({"mcpServers": {"a": {"comand": "x"}}}, "mcpServers.a: needs command, or url: one of the two; it has comand"),
        ({"mcpServers": {"a": {"command": "uvx mcp-hn"}}}, "mcpServers.a.command: is a command line"),
        ({"mcpServers": {"a": {"command": "x", "url": "http://h/mcp"}}}, "mcpServers.a: needs command, or url"),
        ({"mcpServers": {"a": {"command": "x", "type": "http"}}}, "mcpServers.a.type: 'http' does not fit"),
        ({"mcpServers": {"a": {"command": "x", "args": "y"}}}, "mcpServers.a.args: must be a list"),
        ({"mcpServers": {"a": {"command": "x", "args": ["y", None]}}}, "mcpServers.a.args[1]: must be a string"),
        ({"mcpServers": {"a": {"command": "x", "env": {"K": ["hunter2"]}}}}, "mcpServers.a.env.K: must be a string"),
        ({"mcpServers": {"a": {"command": "x", "env": {"1K": "hunter2"}}}}, "mcpServers.a: stdio.env.0.name"),
        ({"mcpServers": {"a": {"command": "x", "env": {"K": "${input:key}"}}}}, "filled in by editors only"),
        ({"mcpServers": {"a": {"command": "x", "env": {"K": "${env:NONE}"}}}}, "the variable NONE is not set"),
        ({"mcpServers": {"a": {"command": "x", "cwd": "srv"}}}, "mcpServers.a.cwd: is not absolute"),
        ({"mcpServers": {"A b": {"command": "x"}, "a-B": {"command": "y"}}}, "would both be called 'a-b'"),
        ({"mcpServers": {"!": {"command": "x"}}}, "no letter or digit"),
    ],
)
def test_what_can_not_be_used_is_refused_with_file_and_place(tmp_path: Path, content: Any, complaint: str) -> None:
    with pytest.raises(HostFileError) as refused:
        read(tmp_path, content)
    assert str(refused.value).startswith(f"{tmp_path / 'servers_config.json'}")
    assert complaint in str(refused.value)
    assert "hunter2" not in str(refused.value)
