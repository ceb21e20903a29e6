"""Commands that nobody waits for any more are dead on the host."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.app.endpoint import ERAS, RunningEndpoint, until
from tests.integration.app.using import marker, use
from tests.integration.sshd import Sshd

LIMIT = 3.0
"""Seconds that a command may live on once it is due: two for the kill, one for a busy machine to notice."""
GRACE = 1.0
CLIENT = Path(__file__).with_name("client.py")
both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_a_command_past_its_timeout_is_dead_and_its_output_comes_with_a_clear_error(
    endpoint: RunningEndpoint, sshd: Sshd, era: str
) -> None:
    seconds = marker()
    # A child of the shell, which does not die with it by itself.
    command = f"echo begun; echo worried >&2; sleep {seconds}; echo never"
    result = await use(endpoint, "execute_command", era=era, command=command, timeout_seconds=2.5)
    assert (result["code"], result["stopped"]) == ("command_timed_out", "timeout")
    assert (result["stdout"], result["stderr"]) == ("begun\n", "worried\n")
    assert "2.5 seconds" in result["message"]
    await until(lambda: not sshd.running(seconds), "the command to be dead", seconds=LIMIT)


@both_eras
async def test_a_cancelled_command_is_dead(endpoint: RunningEndpoint, sshd: Sshd, era: str) -> None:
    seconds = marker()
    async with endpoint.client(era) as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {seconds}; echo never"}))
        await until(lambda: sshd.running(seconds), "the command to run")
        call.cancel()
        await until(lambda: not sshd.running(seconds), "the command to be dead", seconds=LIMIT)
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert not (await client.call_tool("execute_command", {"command": "true"})).is_error


@both_eras
async def test_the_command_of_a_client_that_was_killed_is_dead(endpoint: RunningEndpoint, sshd: Sshd, era: str) -> None:
    # A client of the handshake protocols may come back for its command within the grace.
    endpoint.reconfigure(limits=endpoint.config.limits.model_copy(update={"disconnect_grace": GRACE}))
    await endpoint.settled()
    seconds = marker()
    with client_process(endpoint, era, f"sleep {seconds}; echo never") as client:
        await until(lambda: sshd.running(seconds), "the command to run")
        client.kill()
        within = LIMIT + (GRACE if era == "legacy" else 0)
        await until(lambda: not sshd.running(seconds), "the command to be dead", seconds=within)


@contextlib.contextmanager
def client_process(endpoint: RunningEndpoint, era: str, command: str) -> Iterator[subprocess.Popen[bytes]]:
    """An agent in a process of its own that waits for its command."""
    arguments = [sys.executable, str(CLIENT), endpoint.url, endpoint.token, era, command]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
