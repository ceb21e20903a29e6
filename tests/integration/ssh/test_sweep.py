"""What a sidecar that was killed left running is ended by the next one, and nothing else is."""

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from fairlead_sidecar.config import Policy, SidecarConfig, Sudo
from fairlead_sidecar.ssh.marker import MARKER, instance_of
from fairlead_sidecar.ssh.sweep import MOST, leftovers
from tests.integration.ssh.running import StartLink
from tests.integration.ssh.test_sudo import FREE, sudo_sshd
from tests.integration.sshd import Sshd, SshdFactory, eventually

SUDO = Policy(sudo=Sudo(type="Passwordless"))

StartSidecar = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start_sidecar() -> AsyncIterator[StartSidecar]:
    """Start processes with a link, running commands; all end with the test."""
    processes = []

    async def start(config: SidecarConfig, *commands: str, user: str = "-") -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.ssh.left_alone", config.render(), user, *commands
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def killed(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def runs(server: Sshd, *arguments: str) -> None:
    """Wait for the commands themselves: the shell that becomes one, and has its text, may still end with its client."""

    def words() -> set[str]:
        found = set()
        for process in server.processes():
            with contextlib.suppress(psutil.Error):
                if process.name() not in {"bash", "dash", "sh"}:
                    found.update(process.cmdline())
        return found

    await eventually(lambda: words().issuperset(arguments), f"{arguments} to run")


async def test_a_held_command_of_a_killed_sidecar_is_ended_by_the_next(
    account_sshd: Sshd, start_sidecar: StartSidecar, start_link: StartLink
) -> None:
    config = account_sshd.sidecar_config()
    former = await start_sidecar(config, "hold:trap '' TERM HUP; sleep 85.1 & while :; do sleep 85.2; done")
    await runs(account_sshd, "85.1", "85.2")
    await killed(former)
    link = start_link(config)
    await link.until_connected()
    await eventually(lambda: not account_sshd.running("85."), "the end of what was left")


async def test_a_command_of_a_killed_sidecar_is_ended_by_the_next(
    account_sshd: Sshd, start_sidecar: StartSidecar, start_link: StartLink
) -> None:
    config = account_sshd.sidecar_config()
    former = await start_sidecar(config, "sleep 83.1", "trap '' TERM; setsid -f sleep 83.2; sleep 83.3; true")
    await runs(account_sshd, "83.1", "83.2", "83.3")
    await killed(former)
    assert account_sshd.running("83.1")
    link = start_link(config)
    await link.until_connected()
    await eventually(lambda: not account_sshd.running("83."), "the former sidecar's commands to end")


async def test_a_sidecar_that_drains_keeps_its_commands_and_background_processes_live_on(
    sshd_factory: SshdFactory, start_sidecar: StartSidecar, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    config = server.sidecar_config()
    former = await start_sidecar(config, "sleep 84.1", "(setsid -f sleep 84.2) >/dev/null 2>&1; nohup sleep 84.3 & :")
    other = await start_sidecar(config.model_copy(update={"instance": str(uuid.uuid4())}), "sleep 84.5")
    draining = await start_sidecar(config, "sleep 84.4")
    await runs(server, "84.1", "84.2", "84.3", "84.4", "84.5")
    await killed(former)
    await killed(other)
    link = start_link(config)
    await link.until_connected()
    await eventually(lambda: not server.running("84.1"), "the former sidecar's command to end")
    for argument in ("84.2", "84.3", "84.4", "84.5"):
        assert server.running(argument), argument
    assert draining.returncode is None


async def test_a_command_below_sudo_is_ended_too(
    sshd_factory: SshdFactory, start_sidecar: StartSidecar, start_link: StartLink, tmp_path: Path
) -> None:
    server = sudo_sshd(sshd_factory, tmp_path, FREE)
    config = server.sidecar_config(policy=SUDO)
    former = await start_sidecar(config, "trap '' TERM HUP; sleep 85.1; true", user="root")
    await runs(server, "85.1")
    await killed(former)
    link = start_link(config)
    await link.until_connected()
    await eventually(lambda: not server.running("85.1"), "the former sidecar's command to end")


@pytest.mark.parametrize(
    "policy", [Policy(), SUDO.model_copy(update={"sudo": Sudo(type="Passwordless", users=("app",))})]
)
async def test_what_looks_like_a_command_below_sudo_gets_no_sudo_that_the_policy_does_not_allow(
    sshd_factory: SshdFactory,
    start_link: StartLink,
    tmp_path: Path,
    policy: Policy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = sudo_sshd(sshd_factory, tmp_path, FREE)
    config = server.sidecar_config(policy=policy)
    forger = start_link(config.model_copy(update={"instance": str(uuid.uuid4())}))
    marker = f"{MARKER}={instance_of(config.instance)}.aa.bb.$$.1"
    command = f'exec python3 -c "import time; time.sleep(86)" 86.1 -u root "{marker}"'
    forged = asyncio.create_task(forger.run(command, timeout=60))
    await runs(server, "86.1")
    link = start_link(config)
    await link.until_connected()
    await eventually(lambda: "the policy allows no such sudo" in caplog.text, "the sweep")
    assert server.running("86.1")
    forged.cancel()


def test_a_host_that_names_very_many_leftovers_gets_no_more_than_some_of_them_ended() -> None:
    lines = [f"found {MARKER}=abc.aa.{number:x}.{number + 1}.1 \n" for number in range(10 * MOST)]
    assert len(leftovers("".join(lines).encode(), "abc", "cc")) == MOST
