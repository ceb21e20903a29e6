import asyncio
import contextlib
import os
import signal
import subprocess

import mcp_types as types
import psutil
import pytest

from tests.integration.client.person import ENDING_SECONDS, FAIRLEAD, Era, Person
from tests.integration.sshd import Sshd, eventually, free_port, until


def sleeping(seconds: str) -> bool:
    """Whether a `sleep` of that many seconds runs anywhere."""
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "sleep" and seconds in (process.info["cmdline"] or ()):
            return True
    return False


def children(argument: str) -> set[psutil.Process]:
    """The processes that this one has started and that have the argument; what ends just now is none of them."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if argument in child.cmdline():
                found.add(child)
    return found


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_client_that_starts_the_server_itself_runs_a_command(person: Person, sshd: Sshd, era: Era) -> None:
    async with person.connects_on_stdio(person.is_at_home_on(sshd), era=era) as client:
        result = await client.call_tool("execute_command", {"command": "echo one; exit 3"})
    content = result.structured_content or {}
    assert (content["stdout"], content["exit_code"]) == ("one\n", 3)


async def test_read_only_holds_on_stdio_too(person: Person, sshd: Sshd) -> None:
    async with person.connects_on_stdio("--read-only", person.is_at_home_on(sshd)) as client:
        tools = (await client.list_tools()).tools
        result = await client.call_tool("write_file", {"path": "/tmp/never-written", "content": "x"})
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
    assert (result.structured_content or {})["code"] == "policy_denied"


async def test_end_of_stdin_ends_running_commands_and_the_process(person: Person, sshd: Sshd) -> None:
    seconds = str(70000 + free_port())
    before = children("serve")
    async with person.connects_on_stdio(person.is_at_home_on(sshd)) as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {seconds}"}))
        await asyncio.to_thread(until, lambda: sleeping(seconds), "the command to run")
    await asyncio.gather(call, return_exceptions=True)
    until(lambda: not sleeping(seconds), "the command to be dead")
    assert not children("serve") - before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_it_although_stdin_stays_open(person: Person, sshd: Sshd, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*FAIRLEAD, "serve", "--stdio", person.is_at_home_on(sshd)],
        env=person.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline().startswith("Connected to ")
        process.send_signal(number)
        assert process.wait(ENDING_SECONDS) == 0
        assert process.stdout.read() == ""
        assert "Traceback" not in process.stderr.read()


async def test_signal_ends_running_commands_on_the_host(person: Person, sshd: Sshd) -> None:
    seconds = str(70000 + free_port())
    async with person.connects_on_stdio(person.is_at_home_on(sshd)) as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {seconds}"}))
        await asyncio.to_thread(until, lambda: sleeping(seconds), "the command to run")
        [server] = children("--stdio")
        server.send_signal(signal.SIGTERM)
        await asyncio.gather(call, return_exceptions=True)
        until(lambda: not sleeping(seconds), "the command to be dead")


def test_host_that_cannot_be_reached_ends_it_with_the_reason_on_stderr(person: Person) -> None:
    result = person.runs("serve", "--stdio", f"root@127.0.0.1:{free_port()}")
    assert (result.returncode, result.stdout) == (1, "")
    assert "refused the connection" in result.stderr


def test_person_who_starts_it_by_hand_is_told_what_to_paste(person: Person, sshd: Sshd) -> None:
    destination = person.is_at_home_on(sshd)
    terminal, end = os.openpty()
    errors = person.home / "errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*FAIRLEAD, "serve", "--stdio", "--read-only", "--deny=rm -rf", destination],
            env=person.environment,
            stdin=end,
            stdout=end,
            stderr=stderr,
        )
    with process:
        until(lambda: "Gemini CLI" in errors.read_text(), "the lines for clients", seconds=ENDING_SECONDS)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDING_SECONDS) == 0
    os.close(terminal)
    os.close(end)
    assert f"serve --stdio --read-only '--deny=rm -rf' {destination}" in errors.read_text()


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_client_on_stdio_is_told_when_the_link_is_lost_and_back(person: Person, sshd: Sshd) -> None:
    told: list[tuple[str, str]] = []

    async def take(params: types.LoggingMessageNotificationParams) -> None:
        told.append((params.level, params.data["state"]))

    destination = person.is_at_home_on(sshd)
    async with person.connects_on_stdio(destination, era="legacy", logging_callback=take) as client:
        assert not (await client.call_tool("execute_command", {"command": "true"})).is_error
        await client.set_logging_level("notice")
        sshd.stop()
        await eventually(lambda: ("warning", "Failed") in told, "the loss to be told", seconds=ENDING_SECONDS)
        sshd.start()
        await eventually(lambda: ("notice", "Connected") in told, "the return to be told", seconds=ENDING_SECONDS)
