"""The tools, through the app, on a real host."""

import base64
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import Limits
from fairlead_sidecar.statusz import LinkState
from fairlead_sidecar.tools.catalogue import TOOLS
from tests.integration.app.endpoint import ERAS, RunningEndpoint, until
from tests.integration.sshd import Sshd

CHANGING = {"execute_command", "execute_script", "command_cancel"} | {
    "write_file",
    "edit_file",
    "move_path",
    "delete_path",
    "make_directory",
}
both_eras = pytest.mark.parametrize("era", ERAS)


async def use(endpoint: RunningEndpoint, tool: str, era: str = "auto", **arguments: Any) -> dict[str, Any]:
    """Call a tool; its structured result, checked against the schema it announced."""
    async with endpoint.client(era) as client:
        tools = {listed.name: listed for listed in (await client.list_tools()).tools}
        result = await client.call_tool(tool, arguments)
    assert result.structured_content is not None
    schema = tools[tool].output_schema
    assert schema is not None
    jsonschema.validate(result.structured_content, schema)
    assert result.is_error == ("code" in result.structured_content)
    assert result.structured_content["host"] == "web-01"
    return dict(result.structured_content)


@both_eras
async def test_a_command_gives_its_streams_its_code_and_its_time(endpoint: RunningEndpoint, era: str) -> None:
    result = await use(endpoint, "execute_command", era, command="echo out; echo err >&2; exit 3")
    assert result.pop("duration_seconds") > 0
    assert result == {"host": "web-01", "status": "ended", "exit_code": 3, "stdout": "out\n", "stderr": "err\n"}


@both_eras
async def test_the_tools_say_what_they_are_and_name_the_host(endpoint: RunningEndpoint, era: str) -> None:
    async with endpoint.client(era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert client.instructions is not None
        assert "`web-01` (root@127.0.0.1:" in client.instructions
    assert set(tools) == set(TOOLS)
    for tool in tools.values():
        assert tool.title
        assert tool.description is not None
        assert "web-01" in tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint == (tool.name not in CHANGING)
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.output_schema is not None
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        assert tool.output_schema["type"] == "object"


async def test_a_command_killed_by_a_signal_names_it(endpoint: RunningEndpoint) -> None:
    result = await use(endpoint, "execute_command", command="kill -SEGV $$")
    assert result["signal"] == "SEGV"
    assert "exit_code" not in result


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"command": ""}, "empty"),
        ({"command": " \n\t"}, "empty"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "true", "timeout_seconds": 301}, "limit of 300 seconds"),
        ({"command": "true", "timeout_seconds": 0}, "timeout_seconds"),
        ({"command": "true", "timeout_seconds": "soon"}, "timeout_seconds"),
        ({"command": "true", "shell": "zsh"}, "shell: Extra inputs are not permitted"),
        ({}, "command: Field required"),
        ({"command": "x" * 200_000}, "command"),
    ],
)
async def test_bad_arguments_of_a_command_are_refused_with_a_reason(
    endpoint: RunningEndpoint, arguments: dict[str, Any], says: str
) -> None:
    result = await use(endpoint, "execute_command", **arguments)
    assert result["code"] == "invalid_request"
    assert says in result["message"]


@pytest.mark.parametrize(
    ("command", "stdout", "encoding"),
    [
        (r"printf 'gr\303\274n'", "grün", "utf-8"),
        (r"printf 'gr\374n'", "gr\N{REPLACEMENT CHARACTER}n", "utf-8-replaced"),
        (r"printf '\377\000\001'", base64.b64encode(b"\xff\x00\x01").decode(), "base64"),
        (r"printf 'a\000b'", "a␀b", "utf-8"),
    ],
)
async def test_output_that_is_no_utf_8_is_marked(
    endpoint: RunningEndpoint, command: str, stdout: str, encoding: str
) -> None:
    result = await use(endpoint, "execute_command", command=command)
    assert (result["stdout"], result.get("stdout_encoding", "utf-8")) == (stdout, encoding)


@both_eras
async def test_output_beyond_the_limit_is_cut_and_counted(endpoint: RunningEndpoint, era: str) -> None:
    endpoint.reconfigure(limits=Limits(output_bytes=1000))
    await endpoint.settled()
    result = await use(endpoint, "execute_command", era, command="yes grün | head -c 3000000; echo end >&2")
    assert result["stdout_truncated"]
    assert "stderr_truncated" not in result
    assert result["stdout_bytes"] == 3_000_000
    assert len(result["stdout"].encode()) < 1100


@both_eras
async def test_output_arrives_as_progress_while_the_command_runs(
    endpoint: RunningEndpoint, era: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    seen: list[tuple[float, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, message))
        go.touch()

    command = f"echo first; until test -e {go}; do sleep 0.05; done; echo last"
    async with endpoint.client(era) as client:
        result = await client.call_tool("execute_command", {"command": command}, progress_callback=progress)
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "first\nlast\n"
    assert seen[0] == (6.0, "first\n")


@both_eras
async def test_a_file_is_written_read_and_listed(endpoint: RunningEndpoint, era: str, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    written = await use(endpoint, "write_file", era, path=str(path), content="grün\n", mode="0640")
    assert (written["path"], written["size"], written["mode"]) == (str(path), 6, "0640")
    assert path.read_text() == "grün\n"
    read = await use(endpoint, "read_file", era, path=str(path))
    assert (read["content"], read["encoding"], read["size"], read["next_offset"]) == ("grün\n", "utf-8", 6, None)
    listing = await use(endpoint, "list_directory", era, path=str(tmp_path))
    entry = next(entry for entry in listing["entries"] if entry["name"] == "note.txt")
    assert (entry["type"], entry["size"], entry["mode"]) == ("file", 6, "0640")


async def test_bytes_that_are_no_text_go_both_ways_as_base64(endpoint: RunningEndpoint, tmp_path: Path) -> None:
    path, content = tmp_path / "blob", base64.b64encode(bytes(range(256))).decode()
    await use(endpoint, "write_file", path=str(path), content=content, encoding="base64")
    assert path.read_bytes() == bytes(range(256))
    read = await use(endpoint, "read_file", path=str(path))
    assert (read["content"], read["encoding"]) == (content, "base64")


async def test_a_large_file_is_read_in_pieces_that_never_cut_a_character(
    endpoint: RunningEndpoint, tmp_path: Path
) -> None:
    path, text = tmp_path / "long", "äöü€𝄞x" * 50
    path.write_text(text)
    pieces, offset = "", 0
    while offset is not None:
        piece = await use(endpoint, "read_file", path=str(path), offset=offset, max_bytes=101)
        assert piece["encoding"] == "utf-8"
        pieces, offset = pieces + piece["content"], piece["next_offset"]
    assert pieces == text


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("read_file", {"path": "/no/such/file"}, "file_error", "/no/such"),
        ("read_file", {"path": "/etc"}, "file_error", "/etc"),
        ("list_directory", {"path": "/etc/passwd"}, "file_error", "/etc/passwd"),
        ("write_file", {"path": "/no/such/file", "content": ""}, "file_error", "/no/such"),
        ("write_file", {"path": "/tmp/x", "content": "%", "encoding": "base64"}, "invalid_request", "base64"),
        ("write_file", {"path": "/tmp/x", "content": "", "mode": "rwx"}, "invalid_request", "mode"),
        ("read_file", {"path": "/etc/pass\0wd"}, "invalid_request", "NUL"),
        ("read_file", {"path": ""}, "invalid_request", "path"),
    ],
)
async def test_what_cannot_be_done_with_a_file_is_said(
    endpoint: RunningEndpoint, tool: str, arguments: dict[str, Any], code: str, says: str
) -> None:
    result = await use(endpoint, tool, **arguments)
    assert result["code"] == code
    assert says in result["message"]


async def test_an_unknown_tool_is_a_protocol_error(endpoint: RunningEndpoint) -> None:
    async with endpoint.client() as client:
        with pytest.raises(MCPError, match="Unknown tool: 'rm'"):
            await client.call_tool("rm", {})
    assert endpoint.audit("call")[-1]["outcome"] == "unknown_tool"


async def test_connection_status_tells_what_the_link_sees(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    result = await use(endpoint, "connection_status")
    assert (result["state"], result["host_key_fingerprint"]) == ("Connected", sshd.fingerprint)
    assert result["server_version"].startswith("SSH-2.0-OpenSSH") or "OpenSSH" in result["server_version"]


async def test_a_host_that_is_down_gives_a_named_error_and_heals(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    sshd.stop()
    await until(lambda: endpoint.sidecar.status().link.reason == "Unreachable", "the loss to be noticed")
    for tool, arguments in [("execute_command", {"command": "true"}), ("read_file", {"path": "/etc/hostname"})]:
        result = await use(endpoint, tool, **arguments)
        assert (result["code"], result["retriable"]) == ("host_unreachable", True)
        assert result["hint"]
    assert (await use(endpoint, "connection_status"))["state"] == "Failed"
    sshd.start()
    await until(lambda: endpoint.sidecar.status().link.state is LinkState.CONNECTED, "the link to come back")
    assert (await use(endpoint, "execute_command", command="echo back"))["stdout"] == "back\n"


@both_eras
@pytest.mark.parametrize("piece", [b"x", b"\x1b[1m\n", b'"\\', "€".encode(), b"\xff\0", b"\xff"])
async def test_any_output_fits_into_a_message_that_clients_take(
    endpoint: RunningEndpoint, era: str, piece: bytes, tmp_path: Path
) -> None:
    (tmp_path / "long").write_bytes(piece * (3_000_000 // len(piece)))
    result = await use(endpoint, "execute_command", era, command=f"tee /dev/stderr < {tmp_path}/long")
    assert result["stdout_bytes"] == result["stderr_bytes"] >= 2_999_990
    assert result["stdout_truncated"]
    assert result["stderr_truncated"]
    assert len(result["stdout"]) > 20_000


async def test_any_file_and_any_directory_fit_into_a_message(endpoint: RunningEndpoint, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(os.urandom(2_000_000))
    piece = await use(endpoint, "read_file", path=str(blob), max_bytes=1_000_000)
    assert piece["encoding"] == "base64"
    assert piece["next_offset"] == piece["bytes"] == len(base64.b64decode(piece["content"])) > 300_000
    many = tmp_path / "many"
    many.mkdir()
    for number in range(6000):
        (many / f"{number:04}-{'long' * 20}").touch()
    listing = await use(endpoint, "list_directory", path=str(many), limit=10_000)
    assert listing["truncated"]
    assert len(listing["entries"]) > 1000
