"""What one token's calls may take from the sidecar and from other tokens."""

import asyncio
from functools import partial
from typing import Any

import pytest

from fairlead_sidecar.access import budget
from fairlead_sidecar.config import NamedCommand, Policy, ToolGroup
from fairlead_sidecar.protocol import running as runner
from tests.integration.app.endpoint import RunningEndpoint, held, initialize, processes, running, until
from tests.integration.app.endpoint import call as tool_call
from tests.integration.app.streams import events
from tests.integration.app.using import deployed, marker, use
from tests.integration.sshd import SshdFactory

__all__ = ["deployed"]


def _run(mark: str, count: int) -> bool:
    """Whether so many commands with this mark run."""
    return len(processes(mark)) == count


LIMIT = 2.0
"""Seconds that a change of the policy may take."""


async def test_calls_whose_client_left_count_for_their_token_and_for_no_other(
    deployed: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MOST_CALLS_OF_OWNER", 2)
    other, grant = deployed.keyring.grant(subject="other")
    deployed.reconfigure(tokens=(*deployed.config.tokens, grant))
    await deployed.settled()
    mark = marker()
    async with deployed.http() as http:
        session = await initialize(http, deployed.url)
        for number in (1, 2):
            message = tool_call("execute_command", command=f"sleep {mark}") | {"id": number}
            async with events(http, "POST", deployed.url, session, message):
                await until(partial(_run, mark, number), "the command to run")
        refused = await use(deployed, "execute_command", command="echo third")
        assert (refused["code"], refused["retriable"]) == ("host_busy", True)
        assert refused["message"] == "Too many calls are under way: 2 of this token, 2 in all."
        assert (await use(deployed, "execute_command", token=other, command="echo other"))["stdout"] == "other\n"
        await http.delete(deployed.url, headers=session)
    await until(lambda: not processes(mark), "the commands to die with their session")
    await until(lambda: not deployed.sidecar.commands._by_id, "the calls to end")
    assert (await use(deployed, "execute_command", command="echo again"))["stdout"] == "again\n"


async def test_calls_of_other_tokens_leave_each_token_some_places(
    deployed: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MOST_CALLS", 2)
    monkeypatch.setattr(runner, "SURE_CALLS", 1)
    other, grant = deployed.keyring.grant(subject="other")
    deployed.reconfigure(tokens=(*deployed.config.tokens, grant))
    await deployed.settled()
    mark = marker()
    async with deployed.client() as client:
        calls = [
            asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {mark}"})) for _ in range(2)
        ]
        await until(lambda: len(processes(mark)) == 2, "the commands to run")
        refused = await use(deployed, "execute_command", command="echo third")
        assert (refused["code"], deployed.audit("call")[-1]["outcome"]) == ("host_busy", "host_busy")
        assert (await use(deployed, "execute_command", token=other, command="echo other"))["stdout"] == "other\n"
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: not processes(mark), "the commands to die")


async def test_a_hundred_calls_of_one_token_find_their_places(sshd_factory: SshdFactory) -> None:
    host = sshd_factory(username="deploy", options={"MaxSessions": "100", "MaxStartups": "100"})
    async with running(host.sidecar_config()) as endpoint, endpoint.client() as client:
        given = {"command": "sleep 1"}
        results = await asyncio.gather(*(client.call_tool("execute_command", given) for _ in range(100)))
    assert [result.is_error for result in results] == [False] * 100


async def test_what_a_client_that_left_sent_takes_room_until_its_call_has_ended(
    deployed: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "OWNER_BYTES", 400_000)
    mark = marker()
    large = tool_call("execute_command", command=f"sleep {mark}", stdin="x" * 300_000)
    async with deployed.http() as http:
        session = await initialize(http, deployed.url)
        async with events(http, "POST", deployed.url, session, large):
            await until(lambda: bool(processes(mark)), "the command to run")
            assert 250_000 < held(deployed) < 300_000
        manager = deployed.sidecar.sessions._manager
        assert manager is not None
        await until(lambda: manager._abandoned != {}, "the client to be gone")
        assert 250_000 < held(deployed) < 300_000
        answer = await http.post(deployed.url, json=large | {"id": 2}, headers=session)
        assert (answer.status_code, answer.json()["error"]) == (503, "too_busy")
        await http.delete(deployed.url, headers=session)
    await until(lambda: held(deployed) == 0, "the room to be given back")
    await until(lambda: not processes(mark), "the command to die")


async def test_what_was_sent_to_a_command_in_the_background_takes_room_until_it_has_ended(
    deployed: RunningEndpoint,
) -> None:
    command = "cat >/dev/null; until [ -e go ]; do sleep 0.02; done"
    await use(deployed, "execute_command", command="rm -f go")
    begun = await use(deployed, "execute_command", command=command, stdin="x" * 300_000, wait_seconds=0)
    assert begun["status"] == "running"
    assert 250_000 < held(deployed) < 300_000
    await use(deployed, "execute_command", command="touch go")
    await until(lambda: held(deployed) == 0, "the room to be given back")


@pytest.mark.parametrize(
    "change",
    [{"policy": Policy(read_only=True)}, {"groups": frozenset({ToolGroup.FILES})}],
    ids=["read-only", "no commands"],
)
async def test_commands_in_the_background_end_once_the_host_offers_none(
    deployed: RunningEndpoint, change: dict[str, Any]
) -> None:
    mark = marker()
    begun = await use(deployed, "execute_command", command=f"sleep {mark}", wait_seconds=0)
    assert begun["status"] == "running"
    await until(lambda: bool(processes(mark)), "the command to run")
    deployed.reconfigure(**change)
    await until(lambda: not processes(mark), "the command to die", seconds=LIMIT)
    await until(lambda: bool(deployed.audit("command_end")), "the line of its end")
    assert deployed.audit("command_end")[-1]["outcome"] == "cancelled"


async def test_a_named_command_ends_once_it_is_no_longer_in_the_policy(deployed: RunningEndpoint) -> None:
    mark = marker()
    deployed.reconfigure(policy=Policy(named_commands=(NamedCommand(name="wait", argv=("sleep", mark)),)))
    await deployed.settled()
    call = asyncio.create_task(use(deployed, "run_wait"))
    await until(lambda: bool(processes(mark)), "the command to run")
    free = marker()
    await use(deployed, "execute_command", command=f"sleep {free}", wait_seconds=0)
    await until(lambda: bool(processes(free)), "the other command to run")
    deployed.reconfigure(policy=Policy())
    await until(lambda: not processes(mark), "the command to die", seconds=LIMIT)
    result = await call
    assert (result["code"], result["stopped"]) == ("permission_denied", "cancelled")
    assert processes(free), "what is still offered goes on"
