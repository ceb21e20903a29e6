"""Files of MCP servers as other programs write them, and such as can't be used."""

import json
from pathlib import Path

import pytest

from fairlead_client.serve.host_file import HostFileError
from fairlead_client.serve.servers_file import ServersFile


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_bytes(b"\xef\xbb\xbf" + '{"mcpServers": {"hn": {"command": "u", "args": ["é"]}}}'.encode())
    (server,) = ServersFile(file, {}).servers
    assert server["stdio"]["args"] == ["é"]


def test_a_file_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text("[" * 100_000)
    with pytest.raises(HostFileError, match="is no JSON"):
        ServersFile(file, {})


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/mcp",
        "127.0.0.1:8080/mcp",
        "http://ada:secret@127.0.0.1/mcp",
        "http://127.0.0.1/mcp#part",
        "http://127.0.0.1/m cp",
        "http:///mcp",
    ],
)
def test_what_is_no_url_of_http_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"app": {"url": url}}}))
    with pytest.raises(HostFileError, match=r"mcpServers.app: http.url: must be a full URL as seen from") as refused:
        ServersFile(file, {})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/mcp", "https://mcp.example.com", "http://[::1]:80/mcp?key=a", "http://a_b/?x"]
)
def test_what_is_one_is_taken(tmp_path: Path, url: str) -> None:
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"app": {"url": url}}}))
    (server,) = ServersFile(file, {}).servers
    assert server["http"]["url"] == url
