"""What `fairlead serve` left running on the host when it was killed is ended by the next one."""

import signal

import pytest

from tests.integration.client.person import Era, Person
from tests.integration.sshd import Sshd, eventually

STUBBORN = "trap '' TERM HUP; setsid sleep 87.1 & sleep 87.2; true"


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_command_of_a_killed_one_is_ended_by_the_next(sshd: Sshd, person: Person, era: Era) -> None:
    destination = person.is_at_home_on(sshd)
    with person.serves(destination) as former:
        async with former.connected(era=era) as client:
            await client.call_tool("execute_command", {"command": STUBBORN, "wait_seconds": 0})
            await eventually(lambda: sshd.running("87.1") and sshd.running("87.2"), "the command to run")
        former.ends(signal.SIGKILL)
    # Until then it might be one that still has its client.
    await eventually(lambda: not sshd.connection_processes(), "the server to notice")
    assert sshd.running("87.1")
    assert sshd.running("87.2")
    with person.serves(destination) as served:
        served.says("Connected to")
        await eventually(lambda: not sshd.running("87."), "the former one's command to end")


async def test_one_that_serves_the_same_host_beside_it_keeps_its_commands(sshd: Sshd, person: Person) -> None:
    destination = person.is_at_home_on(sshd)
    with person.serves(destination) as first, person.serves(destination) as killed:
        async with first.connected() as client, killed.connected() as other:
            await client.call_tool("execute_command", {"command": "sleep 88.1", "wait_seconds": 0})
            await other.call_tool("execute_command", {"command": "trap '' HUP; sleep 88.2; true", "wait_seconds": 0})
            await eventually(lambda: sshd.running("88.1") and sshd.running("88.2"), "the commands to run")
        connections = len(sshd.connection_processes())
        killed.ends(signal.SIGKILL)
        await eventually(lambda: len(sshd.connection_processes()) < connections, "the server to notice")
        async with person.connects_on_stdio(destination) as client:
            await client.call_tool("connection_status", {})
            await eventually(lambda: not sshd.running("88.2"), "the killed one's command to end")
            assert sshd.running("88.1")
