"""Commands that take longer than their call, through the app, on a real host."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from fairlead_sidecar.config import Limits, Permission
from fairlead_sidecar.tools import running as registry
from tests.integration.app.endpoint import ERAS, RunningEndpoint, processes, running, until
from tests.integration.app.using import begun, deployed, marker, use
from tests.integration.sshd import SshdFactory

__all__ = ["deployed"]

LIMIT = 2.0
"""Seconds that revocation may take."""
both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_a_command_that_takes_longer_than_its_call_goes_on_and_gives_its_end(
    deployed: RunningEndpoint, era: str
) -> None:
    command = "echo one; until [ -e go ]; do sleep 0.02; done; echo two; exit 3"
    result = await begun(deployed, command, "one\n", era=era)
    assert (result["status"], result.get("exit_code")) == ("running", None)
    command_id = result["command_id"]
    still = await use(deployed, "command_output", era=era, command_id=command_id)
    assert (still["status"], still["stdout"]) == ("running", "")
    await use(deployed, "execute_command", command="touch go")
    ended = await use(deployed, "command_output", era=era, command_id=command_id, wait_seconds=20)
    assert (ended["status"], ended["stdout"], ended["exit_code"]) == ("ended", "two\n", 3)
    again = await use(deployed, "command_output", command_id=command_id)
    assert (again["status"], again["stdout"], again["exit_code"]) == ("ended", "", 3)
    whole = await use(deployed, "read_output", output_id=ended["output_id"])
    assert whole["content"] == "one\ntwo\n"
    assert "next_offset" not in whole


async def test_the_hosts_limit_sends_a_call_to_the_background_and_a_call_can_ask_for_it_at_once(
    deployed: RunningEndpoint,
) -> None:
    deployed.reconfigure(limits=Limits(foreground_timeout=0.3))
    await deployed.settled()
    mark = marker()
    begun = await use(deployed, "execute_command", command=f"sleep {mark}", wait_seconds=100)
    assert begun["status"] == "running"
    assert begun["duration_seconds"] < 50
    at_once = await use(deployed, "execute_command", command=f"sleep {mark}", wait_seconds=0)
    assert at_once["status"] == "running"
    waited = await use(deployed, "command_output", command_id=at_once["command_id"], wait_seconds=100)
    assert waited["status"] == "running"
    for result in (begun, at_once):
        await use(deployed, "command_cancel", command_id=result["command_id"])
    await until(lambda: not processes(mark), "both to die")


async def test_a_cancelled_command_is_dead_on_the_host_and_keeps_its_output(deployed: RunningEndpoint) -> None:
    mark = marker()
    command_id = (await begun(deployed, f"echo begun; sleep {mark}", "begun\n"))["command_id"]
    ended = await use(deployed, "command_cancel", command_id=command_id)
    assert (ended["status"], ended["stopped"]) == ("ended", "cancelled")
    await until(lambda: not processes(mark), "the command to die")
    after = await use(deployed, "command_output", command_id=command_id)
    assert (after["status"], after["stopped"]) == ("ended", "cancelled")
    again = await use(deployed, "command_cancel", command_id=command_id)
    assert again["stopped"] == "cancelled"
    assert (await use(deployed, "read_output", output_id=command_id))["content"] == "begun\n"


async def test_the_timeout_of_a_command_holds_in_the_background(deployed: RunningEndpoint) -> None:
    mark = marker()
    begun = await use(deployed, "execute_command", command=f"echo a; sleep {mark}", timeout_seconds=1, wait_seconds=0)
    ended = await use(deployed, "command_output", command_id=begun["command_id"], wait_seconds=20)
    assert (ended["code"], ended["stopped"], ended["status"]) == ("command_timed_out", "timeout", "ended")
    await until(lambda: not processes(mark), "the command to die")


async def test_cancelling_a_call_kills_its_command_and_cancelling_after_an_id_was_given_does_not(
    deployed: RunningEndpoint,
) -> None:
    mark = marker()
    async with deployed.client("legacy") as client:
        waiting = asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {mark}"}))
        await until(lambda: len(processes(mark)) > 0, "the command to run")
        waiting.cancel()
        await until(lambda: not processes(mark), "the command to die")
        begun = await client.call_tool("execute_command", {"command": f"sleep {mark}", "wait_seconds": 0.2})
        await until(lambda: len(processes(mark)) > 0, "the other command to run")
    assert begun.structured_content is not None
    after = await use(deployed, "command_output", command_id=begun.structured_content["command_id"])
    assert after["status"] == "running"
    assert processes(mark)
    await use(deployed, "command_cancel", command_id=begun.structured_content["command_id"])


@pytest.mark.parametrize("what", ["deleted", "expired", "without Execute"])
async def test_a_command_in_the_background_dies_with_its_tokens_right_to_run_it(
    deployed: RunningEndpoint, what: str
) -> None:
    mark = marker()
    token, grant = deployed.keyring.grant(uid="other")
    own = deployed.config.tokens
    deployed.reconfigure(tokens=(*own, grant))
    await deployed.settled()
    await use(deployed, "execute_command", token=token, command=f"sleep {mark}", wait_seconds=0)
    await until(lambda: len(processes(mark)) > 0, "the command to run")
    view = grant.model_copy(update={"permissions": frozenset({Permission.VIEW})})
    past = grant.model_copy(update={"expires_at": datetime(2020, 1, 1, tzinfo=UTC)})
    changed = {"deleted": own, "expired": (*own, past), "without Execute": (*own, view)}[what]
    deployed.reconfigure(tokens=type(own)(changed))
    started = time.monotonic()
    await until(lambda: not processes(mark), "the command to die")
    assert time.monotonic() - started < LIMIT
    await until(lambda: bool(deployed.audit("command_end")), "the line of its end")
    line = deployed.audit("command_end")[-1]
    assert (line["outcome"], line["subject"], line["tool"]) == ("cancelled", "agent", "execute_command")


async def test_a_command_in_the_background_survives_the_rotation_of_its_token(deployed: RunningEndpoint) -> None:
    mark = marker()
    first, old = deployed.keyring.grant(uid="same")
    second, new = deployed.keyring.grant(uid="same")
    own = deployed.config.tokens
    deployed.reconfigure(tokens=(*own, old))
    await deployed.settled()
    begun = await use(deployed, "execute_command", token=first, command=f"sleep {mark}", wait_seconds=0.2)
    await until(lambda: len(processes(mark)) > 0, "the command to run")
    deployed.reconfigure(tokens=(*own, new))
    await deployed.settled()
    after = await use(deployed, "command_output", token=second, command_id=begun["command_id"])
    assert after["status"] == "running"
    assert processes(mark)
    await use(deployed, "command_cancel", token=second, command_id=begun["command_id"])


async def test_commands_and_output_are_their_tokens_own(deployed: RunningEndpoint) -> None:
    mark = marker()
    other, grant = deployed.keyring.grant(uid="other")
    deployed.reconfigure(tokens=(*deployed.config.tokens, grant))
    await deployed.settled()
    theirs = (await begun(deployed, f"echo mine; exec sleep {mark}", "mine\n"))["command_id"]
    assert len(theirs) >= 22
    for guess in (theirs, theirs[:-1], "", "../../etc/passwd", "/proc/self/environ", "0", "x" * 100):
        for tool, name in (("command_output", "command_id"), ("command_cancel", "command_id")):
            assert (await use(deployed, tool, token=other, **{name: guess}))["code"] == "not_found"
        assert (await use(deployed, "read_output", token=other, output_id=guess))["code"] == "not_found"
    foreign = await use(deployed, "read_output", token=other, output_id=theirs)
    unknown = await use(deployed, "read_output", token=other, output_id="x" * 22)
    assert foreign == unknown
    assert processes(mark)
    await use(deployed, "command_cancel", command_id=theirs)


async def test_too_many_commands_in_the_background_are_refused(
    deployed: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PER_OWNER", 2)
    mark = marker()
    ids = [
        (await use(deployed, "execute_command", command=f"sleep {mark}", wait_seconds=0.1))["command_id"]
        for _ in range(2)
    ]
    refused = await use(deployed, "execute_command", command=f"sleep {mark}", wait_seconds=0)
    assert (refused["code"], refused["retriable"]) == ("host_busy", True)
    # A call that would have to be sent there just waits for its end.
    waited = await use(deployed, "execute_command", command="sleep 0.5; echo done", wait_seconds=0.1)
    assert waited["stdout"] == "done\n"
    for command_id in ids:
        await use(deployed, "command_cancel", command_id=command_id)
    await until(lambda: not processes(mark), "all to die")


async def test_the_audit_trail_tells_of_a_commands_beginning_and_its_end(deployed: RunningEndpoint) -> None:
    begun = await use(deployed, "execute_command", command="sleep 0.6; echo ü; exit 7", wait_seconds=0)
    await use(deployed, "command_output", command_id=begun["command_id"], wait_seconds=20)
    first, second = deployed.audit("call")
    assert (first["command_id"], first["status"], first["outcome"]) == (begun["command_id"], "running", "ok")
    assert second["command_id"] == begun["command_id"]
    (end,) = deployed.audit("command_end")
    assert end.pop("duration_seconds") > 0.5
    assert end | {"time": 0} == {
        "log": "audit",
        "time": 0,
        "kind": "command_end",
        "namespace": "shop",
        "host": "web-01",
        "subject": "agent",
        "token_id": first["token_id"],
        "tool": "execute_command",
        "command_id": begun["command_id"],
        "exit_code": 7,
        "output_bytes": 3,
        "outcome": "ok",
    }


async def test_nothing_runs_on_when_the_sidecar_ends(deployed: RunningEndpoint) -> None:
    mark = marker()
    await use(deployed, "execute_command", command=f"sleep {mark}", wait_seconds=0)
    await until(lambda: len(processes(mark)) > 0, "the command to run")
    deployed.stop.set()
    await until(lambda: not processes(mark), "the command to die")


async def test_a_command_that_falls_silent_is_killed_where_the_host_limits_that(deployed: RunningEndpoint) -> None:
    deployed.reconfigure(limits=Limits(idle_timeout=2.5))
    await deployed.settled()
    mark = marker()
    result = await use(deployed, "execute_command", command=f"echo a; sleep 0.3; echo b; sleep {mark}")
    assert (result["code"], result["stopped"], result["stdout"]) == ("command_timed_out", "idle", "a\nb\n")
    assert "2.5 seconds" in result["message"]
    await until(lambda: not processes(mark), "the command to die")


async def test_a_lost_connection_is_told_with_the_output_up_to_then(
    sshd_factory: SshdFactory,
) -> None:
    sshd = sshd_factory(username="deploy")
    async with running(sshd.sidecar_config()) as endpoint:
        command_id = (await begun(endpoint, f"echo early; sleep {marker()}", "early\n"))["command_id"]
        sshd.drop_connections()
        ended = await use(endpoint, "command_output", command_id=command_id, wait_seconds=20)
        assert (ended["code"], ended["status"]) == ("connection_lost", "ended")
        assert "exit_code" not in ended
        assert (await use(endpoint, "read_output", output_id=command_id))["content"] == "early\n"
        assert endpoint.audit("command_end")[-1]["outcome"] == "connection_lost"
