"""MCP servers that are started on the host and speak on their standard input and output."""

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from fairlead_sidecar.config import Connection, Environment, SecretValue, StdioServer, Variable
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.upstream import line_wire, stderr
from fairlead_sidecar.upstream.errors import (
    CommandNotFound,
    Exited,
    LinkDown,
    ProtocolError,
    SecretNotFound,
    StartFailed,
    UpstreamError,
)
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from fairlead_sidecar.upstream.spec import Wire
from fairlead_sidecar.upstream.stdio import stdio_wire
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, eventually

PYTHON = "/usr/bin/python3"
"""The machine's own: a host of the tests hides the home directory that others are in."""
DIFFICULT = Path(__file__).parents[2] / "upstreams" / "difficult.py"


def difficult(*words: str, **settings: Any) -> StdioServer:
    return StdioServer(command=PYTHON, args=(str(DIFFICULT), *words), **settings)


def sh(text: str, **settings: Any) -> StdioServer:
    return StdioServer(command="sh", args=("-c", text), **settings)


@asynccontextmanager
async def opened(link: Link, server: StdioServer, environment: Environment = Environment()) -> AsyncIterator[Wire]:  # noqa: B008 - immutable
    async with stdio_wire(server, link, name="tested", start_timeout=60, environment=environment)() as wire:
        yield wire


async def ask(wire: Wire, method: str, params: dict[str, Any] | None = None, number: int = 1) -> dict[str, Any]:
    """The result of a request; what comes before it is passed over."""
    await wire.write.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=number, method=method, params=params)))
    while True:
        item = await wire.read.receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse) and item.message.id == number:
            return item.message.result


async def call(wire: Wire, tool: str, **arguments: Any) -> str:
    result = await ask(wire, "tools/call", {"name": tool, "arguments": arguments})
    text: str = result["content"][0]["text"]
    return text


async def fault_at_the_end(wire: Wire) -> UpstreamError:
    """Read until nothing more comes; why."""
    with suppress(anyio.EndOfStream):
        while True:
            await wire.read.receive()
    fault = wire.fault()
    assert fault is not None
    return fault


async def test_messages_pass_unchanged_in_both_directions(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    params = {"text": "ä\u2028\n\"'\\ 😀", "unknown": [1, 2.5, None, {"a": True}], "_meta": {"x/y": 1}}
    async with opened(link, StdioServer(command="cat")) as wire:
        await wire.write.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="a/b", params=params)))
        item = await wire.read.receive()
        assert isinstance(item, SessionMessage)
        assert item.message == JSONRPCNotification(jsonrpc="2.0", method="a/b", params=params)


async def test_a_server_answers(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, difficult()) as wire:
        assert await call(wire, "echo", text="hello") == "hello"
        assert wire.fault() is None


async def test_messages_of_ten_megabytes_pass_in_both_directions(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    text = "0123456789" * 1_000_000
    async with opened(link, difficult()) as wire:
        assert await call(wire, "echo", text=text) == text


async def test_senders_at_the_same_time_and_one_that_gives_up_do_not_mix_their_messages(
    sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(sshd.sidecar_config()).link

    def message(number: int) -> SessionMessage:
        params = {"text": str(number % 10) * 5_000_000}
        return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=number, method="a", params=params))

    async with opened(link, StdioServer(command="cat")) as wire:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(wire.write.send, message(number))
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        received: list[object] = []
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(wire.write.send, message(7))
                while 7 not in received:
                    item = await wire.read.receive()
                    assert isinstance(item, SessionMessage)
                    assert isinstance(item.message, JSONRPCRequest)
                    received.append(item.message.id)
                    assert item.message.params == {"text": str(item.message.id) * 5_000_000}


async def test_a_flood_that_nobody_reads_stays_on_the_host(sshd: Sshd, start_link: StartLink) -> None:
    running = start_link(sshd.sidecar_config())
    line = json.dumps({"jsonrpc": "2.0", "method": "a", "params": {"text": "x" * 1000}})
    server = sh(f"yes '{line}' | head -c 200000000; echo all >&2; cat")
    await running.until_connected()
    async with opened(running.link, server) as wire:
        await wire.read.receive()
        before, most = psutil.Process().memory_info().rss, 0
        for _ in range(20):
            await anyio.sleep(0.1)
            most = max(most, psutil.Process().memory_info().rss - before)
        assert most < 6 * 1024 * 1024
        assert (await running.run("echo others go on")).stdout == b"others go on\n"


async def test_a_line_without_end_is_an_error(
    sshd: Sshd, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_wire, "MAX_MESSAGE_BYTES", 4 * 1024**2)
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh("yes x | tr -d '\\n'")) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, ProtocolError)
    assert "more than 4 MiB" in fault.message


async def test_a_banner_is_no_message_and_named_while_there_is_none(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, difficult("banner")) as wire:
        item = await wire.read.receive()
        assert isinstance(item, ValueError)
        fault = wire.fault()
        assert isinstance(fault, ProtocolError)
        assert "writes to its standard output what is no message: «" in fault.message
        assert await call(wire, "echo", text="works") == "works"
        assert wire.fault() is None


async def test_what_looks_like_a_message_and_is_none_may_have_been_an_answer(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh('echo "{broken"; echo \'{"a": 1}\'; echo; echo "[1]"; cat')) as wire:
        items = [await wire.read.receive() for _ in range(3)]
    assert [type(item) for item in items] == [ProtocolError, ProtocolError, ValueError]


async def test_a_program_that_writes_only_text_is_given_up(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, StdioServer(command="yes", args=("this is no server",))) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, ProtocolError)
    assert "this is no server" in fault.message
    assert not sshd.running("this is no server")


async def test_a_command_that_does_not_exist_is_named(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, StdioServer(command="uvx-not-there", args=("mcp-hn",))) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, CommandNotFound)
    assert fault.message.startswith("uvx-not-there: command not found. The host says: «")


async def test_a_program_that_may_not_be_executed_is_named(sshd: Sshd, start_link: StartLink) -> None:
    (sshd.home / "server").write_text("no program")
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, StdioServer(command=f"{sshd.remote_home}/server")) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, CommandNotFound)
    assert "/server: the account may not execute it" in fault.message


async def test_a_script_whose_interpreter_is_missing_is_not_called_missing_itself(
    sshd: Sshd, start_link: StartLink
) -> None:
    (sshd.home / "npx").write_text("#!/usr/bin/env node-that-is-not-there\n")
    (sshd.home / "npx").chmod(0o755)
    link = start_link(sshd.sidecar_config()).link
    server = StdioServer(command="npx", variables=(Variable(name="PATH", value=f"{sshd.remote_home}:/usr/bin:/bin"),))
    async with opened(link, server) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, CommandNotFound)
    assert fault.message.startswith("npx did not find what it starts (exit code 127): «")
    assert "node-that-is-not-there" in fault.message


async def test_a_server_that_crashes_at_its_start_is_quoted(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    server = sh('printf "\\033[31mcould not read\\033[0m settings\\n" >&2; echo "no such file: a.toml" >&2; exit 2')
    async with opened(link, server) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, Exited)
    assert fault.message == (
        "sh ended with exit code 2. Its standard error ended with: «could not read settings | no such file: a.toml»."
    )


async def test_a_server_that_dies_of_a_signal_says_which(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh("kill -SEGV $$")) as wire:
        fault = await fault_at_the_end(wire)
    assert isinstance(fault, Exited)
    assert fault.message.startswith("sh ended with the signal SEGV.")


async def test_a_server_that_closes_its_output_has_ended(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh("exec >&- 2>&-; sleep 6100.1")) as wire:
        fault = await fault_at_the_end(wire)
        assert isinstance(fault, Exited)
        assert "closed its standard output" in fault.message
    assert not sshd.running("6100.1")


async def test_a_directory_that_does_not_exist_is_named(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(StartFailed, match="working directory '/not/there'"):
        async with opened(link, difficult(working_directory="/not/there")):
            pass


async def test_without_a_link_nothing_is_started(sshd: Sshd, start_link: StartLink, usual_calls: None) -> None:
    sshd.stop()
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(LinkDown):
        async with opened(link, difficult()):
            pass


async def test_leaving_ends_a_server_that_ignores_eof_and_term(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, difficult("deaf")) as wire:
        pid = int(await call(wire, "pid"))
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        assert len(family) > 1
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


async def test_a_lost_link_ends_the_wire_and_the_server(
    sshd: Sshd, start_link: StartLink, quick_keepalive: Connection
) -> None:
    running = start_link(sshd.sidecar_config(connection=quick_keepalive))
    async with opened(running.link, difficult("deaf")) as wire:
        pid = int(await call(wire, "pid"))
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        sshd.drop_connections()
        fault = await fault_at_the_end(wire)
        assert isinstance(fault, LinkDown)
        with pytest.raises(anyio.BrokenResourceError):
            await wire.write.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="a")))
    await running.until_connected()
    await eventually(
        lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family),
        "the end of the server after the next connect",
    )


async def test_a_program_is_found_that_only_a_terminal_finds(sshd: Sshd, start_link: StartLink) -> None:
    tools = sshd.home / ".nvm" / "bin"
    tools.mkdir(parents=True)
    (tools / "my-server").write_text(f"#!/bin/sh\nexec {PYTHON} {DIFFICULT}\n")
    (tools / "my-server").chmod(0o755)
    (sshd.home / ".bashrc").write_text('case $- in *i*) ;; *) return;; esac\nexport PATH="$HOME/.nvm/bin:$PATH"\n')
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, StdioServer(command="my-server")) as wire:
        assert await call(wire, "echo", text="found") == "found"


async def test_variables_and_directory_reach_the_server_and_no_argument_list(
    sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    (sshd.home / "work").mkdir()
    (tmp_path / "token").write_text("s3cret-of-the-server\n")
    server = difficult(
        working_directory=f"{sshd.remote_home}/work",
        variables=(
            Variable(name="MODE", value='it\'s "plain"'),
            Variable(name="API_TOKEN", secret=SecretValue(file=tmp_path / "token", name="app/token")),
        ),
    )
    running = start_link(sshd.sidecar_config())
    async with opened(running.link, server) as wire:
        assert await call(wire, "variable", name="MODE") == 'it\'s "plain"'
        assert (await call(wire, "variable", name="API_TOKEN")).strip() == "s3cret-of-the-server"
        assert await call(wire, "directory") == f"{sshd.remote_home}/work"
        assert not sshd.running("s3cret-of-the-server")


async def test_a_secret_that_is_missing_has_a_name(sshd: Sshd, start_link: StartLink, tmp_path: Path) -> None:
    link = start_link(sshd.sidecar_config()).link
    missing = Variable(name="API_TOKEN", secret=SecretValue(file=tmp_path / "token", name="app/token"))
    with pytest.raises(SecretNotFound, match="app/token"):
        async with opened(link, difficult(variables=(missing,))):
            pass


@pytest.mark.parametrize("padding", [0, 90, 170])
async def test_a_secret_in_what_is_no_message_is_masked_wherever_it_is_cut(
    padding: int, sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("own-secret-" + "0123456789" * 30)
    token = Variable(name="TOKEN", secret=SecretValue(file=tmp_path / "token", name="app/token"))
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh(f'echo "{{{"x" * padding}$TOKEN"; cat', variables=(token,))) as wire:
        item = await wire.read.receive()
        fault = wire.fault()
    assert isinstance(item, ProtocolError)
    assert fault is not None
    for message in (item.message, fault.message):
        assert "[redacted]" in message
        assert "own-secret" not in message


async def test_a_plain_variable_whose_name_says_that_it_is_secret_is_masked(sshd: Sshd, start_link: StartLink) -> None:
    variables = (Variable(name="API_TOKEN", value="own-secret-1234"), Variable(name="PLACE", value="/srv/memory"))
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh('echo "$API_TOKEN at $PLACE" >&2; exit 3', variables=variables)) as wire:
        fault = await fault_at_the_end(wire)
    assert "[redacted] at /srv/memory" in fault.message


async def test_a_secret_in_the_refusal_of_the_handshake_is_masked(
    sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("own-secret-1234")
    token = Variable(name="TOKEN", secret=SecretValue(file=tmp_path / "token", name="app/token"))
    refusal = r'echo "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-1,\"message\":\"bad key $TOKEN\"}}"; cat'
    link = start_link(sshd.sidecar_config()).link
    open_wire = stdio_wire(sh(f"read line; {refusal}", variables=(token,)), link, name="tested", start_timeout=60)
    with pytest.raises(ProtocolError, match=r"bad key \[redacted\]"):
        async with open_session(open_wire, Setup(server="tested", start_timeout=60, probe=False)):
            pass


async def test_secrets_are_masked_in_the_log_and_in_errors(
    sshd: Sshd, start_link: StartLink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "one").write_text("own-secret-1234\n")
    (tmp_path / "two").write_text("host-secret-5678")
    own = Variable(name="ONE", secret=SecretValue(file=tmp_path / "one", name="app/one"))
    hosts = Environment(variables=(Variable(name="TWO", secret=SecretValue(file=tmp_path / "two", name="app/two")),))
    link = start_link(sshd.sidecar_config(environment=hosts)).link
    server = sh(
        'printf "bad own-sec" >&2; sleep 0.2; echo "ret-1234, $TWO" >&2; echo "key $ONE"; exit 1', variables=(own,)
    )
    with caplog.at_level(logging.INFO):
        async with opened(link, server, hosts) as wire:
            item = await wire.read.receive()
            fault = await fault_at_the_end(wire)
    assert "bad [redacted], [redacted]" in fault.message
    assert "bad [redacted], [redacted]" in caplog.text
    everything = f"{item!r} {fault.message} {caplog.text}"
    assert "secret" not in everything.replace("app/", "")


async def test_a_flood_on_stderr_costs_neither_memory_nor_the_log(
    sshd: Sshd, start_link: StartLink, caplog: pytest.LogCaptureFixture
) -> None:
    running = start_link(sshd.sidecar_config())
    await running.until_connected()
    server = sh(f"yes 'an error as it may be' | head -c 100000000 >&2 & exec {PYTHON} {DIFFICULT}")
    began = time.monotonic()
    with caplog.at_level(logging.INFO, "fairlead_sidecar.upstream"):
        async with opened(running.link, server) as wire:
            assert await call(wire, "echo", text="first") == "first"
            before = psutil.Process().memory_info().rss
            for _ in range(50):
                assert await call(wire, "echo", text="still works") == "still works"
                await anyio.sleep(0.05)
            assert psutil.Process().memory_info().rss - before < 6 * 1024 * 1024
    # So many each ten seconds, and then how many were left out.
    spans = 1 + int((time.monotonic() - began) / stderr.SECONDS)
    assert stderr.LINES <= len(caplog.records) <= spans * (stderr.LINES + 1) + 1
    assert any("more lines of its standard error are not shown" in record.message for record in caplog.records)


async def test_many_servers_and_commands_share_few_sessions(start_link: StartLink, sshd: Sshd) -> None:
    running: RunningLink = start_link(sshd.sidecar_config(connection=Connection(max_connections=6)))
    answered = 0
    enough = anyio.Event()

    async def serve() -> None:
        nonlocal answered
        async with opened(running.link, StdioServer(command="cat")) as wire:
            await wire.write.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="a")))
            await wire.read.receive()
            answered += 1
            await enough.wait()

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(serve)
        await eventually(lambda: answered == 30, "all servers")
        assert (await running.run("echo works")).stdout == b"works\n"
        enough.set()


async def test_a_long_line_that_is_no_message_is_not_passed_over(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with opened(link, sh("head -c 1000000 /dev/zero | tr '\\0' '{'; echo; cat")) as wire:
        assert isinstance(await wire.read.receive(), ProtocolError)
