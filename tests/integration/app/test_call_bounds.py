"""What one token's calls may take from the sidecar and from other tokens."""

import asyncio
from typing import Any

import pytest

from fairlead_sidecar.config import NamedCommand, Policy, ToolGroup
from fairlead_sidecar.protocol import running as runner
from tests.integration.app.endpoint import RunningEndpoint, initialize, processes, until
from tests.integration.app.endpoint import call as tool_call
from tests.integration.app.streams import events
from tests.integration.app.using import deployed, marker, use

__all__ = ["deployed"]

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
                await until(lambda count=number: len(processes(mark)) == count, "the command to run")  # type: ignore[misc]
        refused = await use(deployed, "execute_command", command="echo third")
        assert (refused["code"], refused["retriable"]) == ("host_busy", True)
        assert refused["message"] == "Too many calls are under way: 2 of this token, 2 in all."
        assert (await use(deployed, "execute_command", token=other, command="echo other"))["stdout"] == "other\n"
        await http.delete(deployed.url, headers=session)
    await until(lambda: not processes(mark), "the commands to die with their session")
    await until(lambda: not deployed.sidecar.commands._by_id, "the calls to end")
    assert (await use(deployed, "execute_command", command="echo again"))["stdout"] == "again\n"


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
