import asyncio
import json
import socket
import stat
from pathlib import Path

import httpx2
import psutil
import pytest

from fairlead_sidecar import tokens
from tests.integration.client.person import ENDING_SECONDS, Era, Person
from tests.integration.sshd import Sshd, free_port, until


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_command_runs_with_the_printed_url_and_token(person: Person, sshd: Sshd, era: Era) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        async with served.connected(era=era) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"execute_command", "read_file", "write_file", "list_directory", "connection_status"} <= names
            result = await client.call_tool("execute_command", {"command": "echo one; echo two >&2; exit 3"})
            content = result.structured_content or {}
            assert (content["stdout"], content["stderr"], content["exit_code"]) == ("one\n", "two\n", 3)
        assert served.ends() == 0
    assert f"Connected to {sshd.username}@{sshd.address}:{sshd.port} ({sshd.fingerprint}, SSH-2.0-" in served.said
    assert "Traceback" not in served.said


async def test_audit_trail_is_on_standard_output_and_holds_no_token(person: Person, sshd: Sshd) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        token = served.token
        async with served.connected(token=token) as client:
            await client.call_tool("execute_command", {"command": "true"})
        served.ends()
    lines = [json.loads(line) for line in served.audited.splitlines()]
    assert [(line["subject"], line["tool"], line["outcome"]) for line in lines] == [("ada", "execute_command", "ok")]
    assert token not in served.audited


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {tokens.mint()}"}, {"Authorization": "Bearer x"}])
def test_request_without_the_token_gets_401(person: Person, sshd: Sshd, headers: dict[str, str]) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        response = httpx2.post(served.url, headers=headers, json={}, trust_env=False, timeout=ENDING_SECONDS)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("header", ["Host", "Origin"])
def test_name_that_a_web_page_was_rebound_to_is_refused_even_with_the_token(
    person: Person, sshd: Sshd, header: str
) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        value = "evil.example" if header == "Host" else "http://evil.example"
        headers = {"Authorization": f"Bearer {served.token}", header: value}
        response = httpx2.post(served.url, headers=headers, json={}, trust_env=False, timeout=ENDING_SECONDS)
    assert response.status_code == 421


def test_only_the_loopback_address_listens(person: Person, sshd: Sshd) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        assert served.url.startswith("http://127.0.0.1:")
        process = psutil.Process(served.process.pid)
        listening = {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


async def test_token_file_keeps_the_token_from_run_to_run_and_from_the_terminal(person: Person, sshd: Sshd) -> None:
    file = person.home / "token"
    destination = person.is_at_home_on(sshd)
    with person.serves(f"--token-file={file}", destination) as first:
        first.says("Gemini CLI")
        first.ends()
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with person.serves(f"--token-file={file}", destination) as second:
        async with second.connected(token=token) as client:
            assert (await client.list_tools()).tools
    assert token not in first.said + second.said
    assert f"$(cat {file})" in second.said


async def test_token_of_the_environment_is_accepted_and_not_shown(person: Person, sshd: Sshd) -> None:
    token = tokens.mint()
    person.environment["FAIRLEAD_TOKEN"] = token
    with person.serves(person.is_at_home_on(sshd)) as served:
        async with served.connected(token=token) as client:
            assert (await client.list_tools()).tools
    assert token not in served.said


def test_token_never_stands_in_the_process_list(person: Person, sshd: Sshd) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        token = served.token
        assert not any(token in argument for argument in psutil.Process(served.process.pid).cmdline())


def test_busy_port_is_one_clear_sentence(person: Person, sshd: Sshd) -> None:
    destination = person.is_at_home_on(sshd)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = person.runs("serve", f"--listen-port={port}", destination)
    assert result.returncode == 1
    assert result.stderr == (
        f"fairlead: cannot listen on port {port} of 127.0.0.1: address already in use. "
        "Choose another with --listen-port, or 0 for a free one.\n"
    )


async def test_read_only_offers_nothing_that_changes_the_host(person: Person, sshd: Sshd) -> None:
    with person.serves("--read-only", person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            tools = (await client.list_tools()).tools
            refused = await client.call_tool("execute_command", {"command": "id"})
    assert {"connection_status", "read_file", "list_directory"} <= {tool.name for tool in tools}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
    assert refused.is_error


async def test_command_patterns_hold(person: Person, sshd: Sshd) -> None:
    with person.serves("--allow=^echo ", "--deny=secret", person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            for command, denied in [("echo hello", False), ("id", True), ("echo secret", True)]:
                result = await client.call_tool("execute_command", {"command": command})
                assert (result.is_error, command) == (denied, command)


async def test_a_host_file_offers_named_commands_and_nothing_else(person: Person, sshd: Sshd, tmp_path: Path) -> None:
    secrets, file = tmp_path / "secrets", tmp_path / "host.yaml"
    (secrets / "app").mkdir(parents=True)
    (secrets / "app" / "token").write_text("s3cret-of-the-shop")
    file.write_text("""
environment: {variables: [{name: TOKEN, valueFrom: {secretKeyRef: {name: app, key: token}}}]}
tools: {groups: [Connection]}
policy:
  namedCommands:
    - {name: greet, argv: [echo, "ahoy {who}"], parameters: {who: {pattern: "[a-z]+"}}}
    - {name: show, argv: [printenv, TOKEN]}
  redact: [{secretKeyRef: {name: app, key: token}}]
""")
    with person.serves(f"--config={file}", f"--secrets={secrets}", person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            greeted = await client.call_tool("run_greet", {"who": "ada"})
            refused = await client.call_tool("run_greet", {"who": "ada; id"})
            shown = await client.call_tool("run_show", {})
    assert not tools & {"execute_command", "execute_script", "read_file", "write_file"}
    assert {"run_greet", "run_show", "connection_status"} <= tools
    assert (greeted.structured_content or {})["stdout"] == "ahoy ada\n"
    assert refused.is_error
    assert shown.structured_content is not None
    assert shown.structured_content["exit_code"] == 0
    assert "s3cret" not in str(shown.structured_content)


async def test_variables_and_directory_reach_commands(person: Person, sshd: Sshd) -> None:
    person.environment["FROM_HERE"] = "kept off the command line"
    with person.serves("--env=ONE=1", "--env=FROM_HERE", "--workdir=/tmp", person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            result = await client.call_tool("execute_command", {"command": "echo $ONE $FROM_HERE; pwd"})
    assert (result.structured_content or {})["stdout"] == "1 kept off the command line\n/tmp\n"


def test_a_file_that_cannot_be_used_is_one_clear_sentence(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "host.yaml"
    file.write_text("policy: {sudo: {type: Password}}")
    result = person.runs("serve", f"--config={file}", "web-01")
    assert result.returncode == 2
    assert f"Error: {file}: policy.sudo: type Password needs passwordSecretRef" in result.stderr


async def test_paths_hold(person: Person, sshd: Sshd) -> None:
    (sshd.home / "in").mkdir()
    (sshd.home / "in" / "file").write_text("inside")
    (sshd.home / "file").write_text("outside")
    with person.serves(f"--read-path={sshd.remote_home}/in/", person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            inside = await client.call_tool("read_file", {"path": f"{sshd.remote_home}/in/file"})
            outside = await client.call_tool("read_file", {"path": f"{sshd.remote_home}/file"})
    assert (inside.is_error, outside.is_error) == (False, True)


async def test_host_that_goes_down_later_is_connected_again_by_itself(person: Person, sshd: Sshd) -> None:
    with person.serves(person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            sshd.stop()
            served.says("Not connected: ")
            failed = await client.call_tool("execute_command", {"command": "true"})
            assert (failed.is_error, (failed.structured_content or {})["code"]) == (True, "host_unreachable")
            sshd.start()
            served.says("Connected again (")
            assert not (await client.call_tool("execute_command", {"command": "true"})).is_error


async def test_ctrl_c_ends_running_commands_on_the_host(person: Person, sshd: Sshd) -> None:
    seconds = str(70000 + free_port())

    def running() -> bool:
        return any(seconds in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))

    with person.serves(person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            call = asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {seconds}"}))
            await asyncio.to_thread(until, running, "the command to run")
            assert await asyncio.to_thread(served.ends) == 0
            await asyncio.gather(call, return_exceptions=True)
    until(lambda: not running(), "the command to be dead")
    assert "Traceback" not in served.said
