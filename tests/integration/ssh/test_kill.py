import asyncio
import time
from pathlib import Path

import pytest

from fairlead_sidecar.config import Connection
from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.ssh.kill import kill_script
from fairlead_sidecar.ssh.marker import RemoteProcess
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually

DEAF = "trap '' TERM HUP INT"
TIMEOUT = 2.0
"""Seconds that commands are given which are to be killed: as long as a slow machine needs to begin with them."""
LIMIT = 3.0
"""Seconds that a command may live on once it is due: two for the kill, one for a busy machine to notice."""


async def start_and_wait(link: RunningLink, server: Sshd, command: str, argument: str) -> asyncio.Task[object]:
    """Begin a command; return once a process with this argument runs on the host."""
    task: asyncio.Task[object] = asyncio.create_task(link.run(command, timeout=100))
    await eventually(lambda: server.running(argument), f"{argument} to run")
    return task


async def test_a_timeout_kills_the_whole_process_group(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    await link.run("true")
    started = time.monotonic()
    result = await link.run("echo begun; sleep 71.1 | sleep 71.2; echo never", timeout=TIMEOUT)
    assert result.stopped == "timeout"
    assert (result.stdout, result.exit_code, result.signal) == (b"begun\n", None, "TERM")
    assert time.monotonic() - started < TIMEOUT + LIMIT
    assert not account_sshd.running("71.1")
    assert not account_sshd.running("71.2")


async def test_a_command_that_ignores_term_dies_within_two_seconds_of_its_timeout(
    account_sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(account_sshd.sidecar_config())
    await link.run("true")
    started = time.monotonic()
    result = await link.run(f"{DEAF}; while :; do sleep 72.5; done", timeout=TIMEOUT)
    assert (result.stopped, result.signal) == ("timeout", "KILL")
    assert time.monotonic() - started < TIMEOUT + LIMIT
    assert not account_sshd.running("72.5")


async def test_a_command_may_end_in_order_when_it_is_told_to(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("true")
    result = await link.run("trap 'echo cleaned up; exit 5' TERM; sleep 73.5 & wait", timeout=TIMEOUT)
    assert (result.stopped, result.stdout, result.exit_code) == ("timeout", b"cleaned up\n", 5)


async def test_cancelling_kills_the_whole_process_group(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    task = await start_and_wait(link, account_sshd, f"({DEAF}; exec sleep 74.1) & {DEAF}; sleep 74.2; true", "74.2")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not account_sshd.running("74."), "all processes of the command to die", seconds=LIMIT)


async def test_processes_that_left_the_group_die_too(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    command = f"setsid -f sh -c '{DEAF}; while :; do sleep 75.5; done'; exec sleep 75.6"
    task = await start_and_wait(link, account_sshd, command, "75.6")
    await eventually(lambda: account_sshd.running("75.5"), "the process outside of the group")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not account_sshd.running("75."), "all processes of the command to die")


async def test_a_command_that_cleared_its_environment_dies_too(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    task = await start_and_wait(link, account_sshd, "exec env -i /bin/sleep 76.5", "76.5")
    task.cancel()
    await eventually(lambda: not account_sshd.running("76.5"), "the command's end")


async def test_killing_one_command_leaves_the_others(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    other = await start_and_wait(link, account_sshd, "until [ -e go ]; do sleep 0.05; done; echo unharmed", "unharmed")
    task = await start_and_wait(link, account_sshd, "exec sleep 77.5", "77.5")
    task.cancel()
    await eventually(lambda: not account_sshd.running("77.5"), "the killed command's end")
    (account_sshd.home / "go").touch()
    result = await other
    assert getattr(result, "stdout", None) == b"unharmed\n"


async def test_a_flood_of_output_does_not_stop_the_kill(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    await link.run("true")
    started = time.monotonic()
    result = await link.run("yes 78.5", timeout=TIMEOUT, keep=1000)
    assert result.stopped == "timeout"
    assert time.monotonic() - started < TIMEOUT + LIMIT + 0.5
    assert not account_sshd.running("78.5")


async def test_a_kill_works_while_all_sessions_are_in_use(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": "1"})
    link = start_link(server.sidecar_config(connection=Connection(max_connections=1)))
    task = await start_and_wait(link, server, "sleep 79.5", "79.5")
    task.cancel()
    await eventually(lambda: not server.running("79.5"), "the command's end")
    assert (await link.run("echo free again")).stdout == b"free again\n"


async def test_a_cancelled_call_leaves_no_session_behind(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config(connection=Connection(max_connections=1)))
    await link.until_connected()
    for delay in (0.0, 0.001, 0.003, 0.01, 0.03) * 12:
        task = asyncio.create_task(link.run("sleep 80.5"))
        await asyncio.wait({task}, timeout=delay)
        task.cancel()
    await eventually(lambda: not server.running("80.5"), "all cancelled commands to die")
    results = await asyncio.gather(*(link.run("echo ok") for _ in range(20)))
    assert {result.stdout for result in results} == {b"ok\n"}


async def test_what_could_not_be_killed_is_killed_on_the_next_connect(
    account_sshd: Sshd, start_link: StartLink, quick_keepalive: Connection
) -> None:
    link = start_link(account_sshd.sidecar_config(connection=quick_keepalive))
    task = await start_and_wait(link, account_sshd, f"{DEAF}; sleep 81.5; true", "81.5")
    account_sshd.freeze()
    task.cancel()
    await link.until_reason("Unreachable")
    account_sshd.drop_connections()
    assert account_sshd.running("81.5")
    account_sshd.thaw()
    await link.until_connected()
    await eventually(lambda: not account_sshd.running("81.5"), "the put-off kill")


async def test_a_command_whose_connection_broke_is_killed_on_the_next_connect(
    account_sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(account_sshd.sidecar_config())
    task = await start_and_wait(link, account_sshd, f"({DEAF}; sleep 82.5; true) & setsid sleep 82.6; true", "82.6")
    account_sshd.drop_connections()
    with pytest.raises(ConnectionLost):
        await task
    await eventually(lambda: not account_sshd.running("82."), "the kill after the reconnect")
    assert (await link.run("echo next")).stdout == b"next\n"


async def test_a_command_that_writes_nothing_for_too_long_is_killed(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())
    talking = await link.run("for i in 1 2 3 4; do echo $i; sleep 0.5; done", idle_timeout=3)
    assert (talking.stopped, talking.exit_code, talking.stdout) == (None, 0, b"1\n2\n3\n4\n")
    started = time.monotonic()
    silent = await link.run("echo begun; sleep 86.5; true", idle_timeout=2, timeout=60)
    assert (silent.stopped, silent.stdout) == ("idle", b"begun\n")
    assert time.monotonic() - started < 10
    assert not server.running("86.5")


def born(pid: int) -> tuple[str, str]:
    """Boot id and start time of a process."""
    start_time = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip(), start_time


@pytest.mark.parametrize(("boot", "start", "dies"), [("", "", True), ("another", "", False), ("", "1", False)])
async def test_after_a_reboot_a_number_that_another_process_got_is_left_alone(
    boot: str, start: str, dies: bool
) -> None:
    """The kill script itself, since a host can't be rebooted here."""
    process = await asyncio.create_subprocess_exec("sleep", "87.5", start_new_session=True)
    try:
        boot_id, start_time = born(process.pid)
        known = RemoteProcess(process.pid, "a.b.c", boot or boot_id, start or start_time)
        script = kill_script(known, reconnected=True)
        killer = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
        answer, _ = await killer.communicate()
        assert answer == b"gone\n"
        assert (await asyncio.wait_for(process.wait(), 30) == -15) if dies else process.returncode is None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
