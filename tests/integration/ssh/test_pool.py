"""Many calls at once, against servers that allow few sessions."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from fairlead_sidecar.config import Connection
from fairlead_sidecar.errors import TooBusy
from fairlead_sidecar.ssh import pool
from fairlead_sidecar.ssh.files import RemoteFiles
from fairlead_sidecar.statusz import LinkState
from tests.integration.ssh.gate import MakeGate
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import PATIENCE_SECONDS, Sshd, SshdFactory, eventually


@pytest.mark.parametrize("sessions", [10, 100])
async def test_a_hundred_commands_at_once_all_succeed(
    sshd_factory: SshdFactory, start_link: StartLink, gate: MakeGate, sessions: int
) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": str(sessions), "MaxStartups": "10:30:100"})
    link = start_link(server.sidecar_config())
    await link.run("true")
    held, running = gate(server), 0

    def count(*_: object) -> None:
        nonlocal running
        running += 1

    tasks = [
        asyncio.create_task(link.run(f"echo {n}; {held.wait}; exit 3", timeout=100, also=count)) for n in range(100)
    ]
    # None is one after the other on some session.
    await eventually(lambda: running == 100, "all to run at the same time")
    held.let(100)
    results = await asyncio.gather(*tasks)
    assert [result.stdout for result in results] == [b"%d\n" % n for n in range(100)]
    assert {result.exit_code for result in results} == {3}
    assert "MaxStartups" not in server.log.read_text()


@pytest.mark.parametrize("sessions", [1, 2, 3])
async def test_servers_with_few_sessions_are_used_as_far_as_they_go(
    sshd_factory: SshdFactory, start_link: StartLink, sessions: int
) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": str(sessions)})
    link = start_link(server.sidecar_config())
    results = await asyncio.gather(*(link.run(f"echo {n}") for n in range(30)))
    assert [result.stdout for result in results] == [b"%d\n" % n for n in range(30)]


async def test_the_servers_limit_is_learned_and_respected(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": "5"})
    link = start_link(server.sidecar_config())
    for _ in range(2):
        await asyncio.gather(*(link.run("sleep 0.3") for _ in range(30)))
    refused = server.log.read_text().count("no more sessions")
    await asyncio.gather(*(link.run("sleep 0.3") for _ in range(30)))
    # At most one to see whether it was raised.
    assert server.log.read_text().count("no more sessions") <= refused + 2


async def test_a_command_that_finds_no_waiting_shell_is_not_held_up_by_many_that_start_beside_it(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The next pause never comes.
    monkeypatch.setattr(pool, "_REFILL_AFTER_BEGIN", 60)
    monkeypatch.setattr(pool, "_REFILL_AFTER_END", 60)
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())

    def started() -> int:
        return server.log.read_text().count("Starting session")

    await link.run("true")
    await link.until_at_rest(refilled=False)
    before = started()
    while started() == before:
        await link.run("true")
    await eventually(lambda: started() >= before + 1 + pool.BESIDE, "those that start beside it")
    # They are for the next ones.
    for _ in range(pool.BESIDE):
        await link.run("true")
    assert started() == before + 1 + pool.BESIDE
    await link.stop()


@contextlib.contextmanager
def logins_exhausted(server: Sshd, count: int) -> Iterator[None]:
    """Hold as many connections as the server lets begin (MaxStartups), without logging in."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((server.address, server.port)))
            connection.settimeout(PATIENCE_SECONDS)
            # A login of the link may hold a place too.
            assert connection.recv(8) in (b"SSH-2.0-", b"Exceeded")
        yield


async def test_a_server_that_takes_no_further_logins_costs_no_command(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": "2", "MaxStartups": "3:100:3"})
    link = start_link(server.sidecar_config())
    await link.run("true")
    with logins_exhausted(server, 3):
        results = await asyncio.gather(*(link.run(f"echo {n}; sleep 0.1", timeout=60) for n in range(30)))
    assert [result.stdout for result in results] == [b"%d\n" % n for n in range(30)]


async def test_a_first_login_waits_until_the_server_takes_logins_again(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", options={"MaxStartups": "3:100:3"})
    with logins_exhausted(server, 3):
        link = start_link(server.sidecar_config())
        await eventually(lambda: link.status.state is LinkState.FAILED, "the refusal")
    await link.until_connected()
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_files_and_commands_share_a_single_session(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": "1"})
    link = start_link(server.sidecar_config(connection=Connection(max_connections=1)))
    files = RemoteFiles(link.link)
    for n in range(3):
        await files.write_file("note", b"%d" % n)
        assert (await link.run("cat note")).stdout == b"%d" % n


def running_twice(server: Sshd, argument: str) -> bool:
    count = 0
    for process in server.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            count += argument in process.cmdline()
    return count >= 2


async def test_a_call_that_finds_no_session_in_its_time_is_told_so(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", options={"MaxSessions": "2"})
    link = start_link(server.sidecar_config(connection=Connection(max_connections=1)))
    busy = [asyncio.create_task(link.run("sleep 95.5")) for _ in range(2)]
    await eventually(lambda: running_twice(server, "95.5"), "both to run")
    started = time.monotonic()
    with pytest.raises(TooBusy):
        await link.run("true", timeout=0.5)
    assert time.monotonic() - started < 15
    for task in busy:
        task.cancel()
    assert (await link.run("echo free")).stdout == b"free\n"


async def test_calls_are_served_in_the_order_they_came(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which of two gets the only session is open while it is tried whether the server gives more.
    monkeypatch.setattr("fairlead_sidecar.ssh.limit._PROBE_FIRST", 3600.0)
    server = sshd_factory(username="deploy", options={"MaxSessions": "1"})
    link = start_link(server.sidecar_config(connection=Connection(max_connections=1)))
    await link.run("true")
    await asyncio.gather(*(link.run(f"echo {n} >>order") for n in range(10)))
    assert (server.home / "order").read_text().split() == [str(n) for n in range(10)]


async def test_further_connections_end_when_they_are_idle(
    sshd_factory: SshdFactory, start_link: StartLink, gate: MakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead_sidecar.ssh.pool.IDLE_SECONDS", 0.5)
    server = sshd_factory(username="deploy")
    link, held, log = start_link(server.sidecar_config()), gate(server), server.log.read_text
    tasks = [asyncio.create_task(link.run(held.wait, timeout=100)) for _ in range(30)]
    await eventually(lambda: log().count("Accepted publickey") > 1, "a further connection")
    held.let(30)
    await asyncio.gather(*tasks)
    await eventually(
        lambda: log().count("Disconnected from user") == log().count("Accepted publickey") - 1,
        "one connection to remain",
    )
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_a_login_shell_that_does_not_get_ready_is_named(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text("sleep 96.5\n")
    link = start_link(server.sidecar_config())
    await link.until_connected()
    with pytest.raises(Exception, match="login shell did not become ready"):
        await link.run("true", timeout=1)
