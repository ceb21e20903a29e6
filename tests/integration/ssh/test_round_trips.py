"""What a command costs over a long way."""

import statistics
import time

import pytest

from fairlead_sidecar.config import SidecarConfig
from tests.integration.delay_proxy import delayed
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory

ROUND_TRIP = 0.4
"""Long, so that what a busy machine adds counts little."""
CALLS = 7


def through(server: Sshd, port: int) -> SidecarConfig:
    config = server.sidecar_config()
    return config.model_copy(update={"target": config.target.model_copy(update={"port": port})})


@pytest.mark.parametrize("start_up", ["", "sleep 0.08\n"], ids=["quick", "slow start-up files"])
@pytest.mark.parametrize("command", ["uptime", "cd /; uptime | wc -l"], ids=["plain", "shell"])
async def test_a_command_costs_one_round_trip(
    sshd_factory: SshdFactory, start_link: StartLink, start_up: str, command: str
) -> None:
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text(start_up)
    async with delayed(server.port, seconds=ROUND_TRIP / 2) as port:
        link = start_link(through(server, port))
        await link.run(command)
        # The shells that wait need their time once.
        await link.until_at_rest()
        taken = []
        for _ in range(CALLS):
            started = time.monotonic()
            assert (await link.run(command)).exit_code == 0
            taken.append(time.monotonic() - started)
            await link.until_at_rest()
        trips = statistics.median(taken) / ROUND_TRIP
        print(f"{trips:.2f} round trips at p50, {max(taken) / ROUND_TRIP:.2f} at most")
        assert trips < 1.4
        await link.stop()


async def test_a_command_that_finds_no_waiting_shell_costs_two_round_trips(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead_sidecar.ssh.pool.WARM", 0)
    server = sshd_factory(username="deploy")
    async with delayed(server.port, seconds=ROUND_TRIP / 2) as port:
        link = start_link(through(server, port))
        await link.run("uptime")
        taken = []
        for _ in range(CALLS):
            started = time.monotonic()
            await link.run("uptime")
            taken.append(time.monotonic() - started)
        trips = statistics.median(taken) / ROUND_TRIP
        print(f"{trips:.2f} round trips at p50")
        assert trips < 2.7
        await link.stop()
