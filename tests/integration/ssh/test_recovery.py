"""The link comes back by itself and takes new configurations without a pause."""

import asyncio
import contextlib
import time

import asyncssh
import psutil
import pytest

from fairlead_sidecar.config import Connection, PinnedHostKeys, Target
from fairlead_sidecar.errors import ConnectionLost, LinkError
from fairlead_sidecar.statusz import LinkState
from tests.integration.ssh.running import StartLink
from tests.integration.ssh.silent import silent_server
from tests.integration.sshd import PATIENCE_SECONDS, Sshd, SshdFactory, eventually


async def test_a_lost_connection_is_an_error_with_a_name_and_the_next_call_works(
    account_sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(account_sshd.sidecar_config())
    await link.until_connected()
    task = asyncio.create_task(link.run("echo begun; sleep 91.5"))
    await eventually(lambda: account_sshd.running("91.5"), "the command to run")
    account_sshd.stop()
    with pytest.raises(ConnectionLost, match="lost while the command ran") as failure:
        await task
    assert "may have run in part" in failure.value.hint
    assert link.status.state is not LinkState.CONNECTED
    account_sshd.start()
    assert (await link.run("echo back")).stdout == b"back\n"
    assert link.counts.reconnects == 1
    assert link.counts.connected == [True, False, True]


async def test_the_loss_is_published_at_once_and_the_state_after_it(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    sshd.stop()
    await eventually(lambda: link.status.state is LinkState.FAILED, "the loss", seconds=5)
    await link.until_reason("Unreachable")
    reasons = [status.reason for status in link.history]
    assert reasons[:3] == ["Connected", "ConnectionLost", "Unreachable"]


async def test_a_host_that_comes_back_is_reached_within_seconds(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    for _ in range(2):
        sshd.stop()
        await link.until_reason("Unreachable")
        sshd.start()
        await link.until_connected(seconds=20)


async def test_a_host_that_is_up_later_is_reached_without_help(sshd: Sshd, start_link: StartLink) -> None:
    sshd.stop()
    link = start_link(sshd.sidecar_config())
    await link.until_reason("Unreachable")
    sshd.start()
    await link.until_connected()


async def test_a_connection_that_never_lasts_is_not_made_in_a_hurry(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    until = time.monotonic() + 4
    losses = 0
    while time.monotonic() < until or losses < 2:
        await link.until_connected()
        sshd.drop_connections()
        await eventually(lambda: link.status.state is LinkState.FAILED, "the loss")
        losses += 1
    assert 2 <= sshd.log.read_text().count("Accepted publickey") <= 8


async def test_a_hung_host_is_noticed_by_keepalive(
    sshd: Sshd, start_link: StartLink, quick_keepalive: Connection
) -> None:
    link = start_link(sshd.sidecar_config(connection=quick_keepalive))
    await link.until_connected()
    task = asyncio.create_task(link.run("sleep 92.5"))
    await eventually(lambda: sshd.running("92.5"), "the command to run")
    sshd.freeze()
    with pytest.raises(ConnectionLost):
        await asyncio.wait_for(task, 15)
    assert link.status.state is LinkState.FAILED
    sshd.thaw()
    await link.until_connected()
    assert (await link.run("echo back")).stdout == b"back\n"


async def test_a_timeout_holds_on_a_hung_connection(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.run("true")
    await eventually(lambda: sshd.running("fl_text"), "a waiting shell")
    await link.run("true")
    sshd.freeze()
    started = time.monotonic()
    result = await link.run("sleep 93.5", timeout=1)
    assert (result.stopped, result.exit_code, result.signal) == ("timeout", None, None)
    assert time.monotonic() - started < 12
    sshd.thaw()


async def test_new_credentials_are_used_without_a_pause(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())
    await link.until_connected()
    running = asyncio.create_task(link.run("sleep 2; echo old connection"))
    await eventually(lambda: server.running("old connection"), "the command to run")
    new = asyncssh.generate_private_key("ssh-ed25519")
    server.authorize(new)
    (server.secret / "ssh-privatekey").write_bytes(new.export_private_key())
    await link.until_message(new.get_fingerprint())
    assert (await link.run("echo new connection")).stdout == b"new connection\n"
    assert (await running).stdout == b"old connection\n"
    assert link.counts.connected == [True]
    assert link.counts.reconnects == 0
    await eventually(lambda: _connections(server) == 1, "the old connection to end")


async def test_wrong_new_credentials_leave_the_working_link_and_are_reported(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())
    await link.until_connected()
    good = (server.secret / "ssh-privatekey").read_bytes()
    wrong = asyncssh.generate_private_key("ssh-ed25519")
    (server.secret / "ssh-privatekey").write_bytes(wrong.export_private_key())
    status = await link.until_reason("AuthenticationFailed")
    assert status.state is LinkState.CONNECTED
    assert "former connection goes on" in status.message
    assert (await link.run("echo still there")).stdout == b"still there\n"
    (server.secret / "ssh-privatekey").write_bytes(good)
    await link.until_reason("Connected")


async def test_a_new_version_of_the_credentials_makes_a_new_login(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    link = start_link(config)
    await link.until_connected()
    logins = sshd.log.read_text().count("Accepted publickey")
    await link.link.reconfigure(config.model_copy(update={"credentials_version": "2"}))
    await eventually(lambda: sshd.log.read_text().count("Accepted publickey") > logins, "a new login")
    await eventually(lambda: _connections(sshd) == 1, "the old connection to end")
    assert (await link.run("echo ok")).stdout == b"ok\n"
    assert link.counts.connected == [True]


async def test_limits_and_keepalive_change_without_a_new_login(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    link = start_link(config)
    await link.until_connected()
    await link.link.reconfigure(
        config.model_copy(update={"connection": Connection(keepalive_interval=0.5, keepalive_count_max=2)})
    )
    await eventually(lambda: "Accepted publickey" in sshd.log.read_text(), "the line of the login")
    assert sshd.log.read_text().count("Accepted publickey") == 1
    sshd.freeze()
    await eventually(lambda: link.status.state is LinkState.FAILED, "keepalive to notice", seconds=15)
    sshd.thaw()


async def test_a_pin_that_still_trusts_the_host_changes_nothing(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    link = start_link(config)
    await link.until_connected()
    more = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    pins = PinnedHostKeys(public_keys=(more, sshd.host_key))
    await link.link.reconfigure(config.model_copy(update={"host_key": pins}))
    assert (await link.run("echo ok")).stdout == b"ok\n"
    assert link.counts.connected == [True]
    assert sshd.log.read_text().count("Accepted publickey") == 1


async def test_a_pin_that_no_longer_trusts_the_host_ends_the_link(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    link = start_link(config)
    await link.until_connected()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    task = asyncio.create_task(link.run("sleep 94.5"))
    await eventually(lambda: sshd.running("94.5"), "the command to run")
    await link.link.reconfigure(config.model_copy(update={"host_key": PinnedHostKeys(public_keys=(other,))}))
    with pytest.raises(ConnectionLost):
        await task
    await link.until_reason("HostKeyMismatch")
    await link.link.reconfigure(config)
    await link.until_connected()


async def test_another_target_is_connected_to_and_the_old_one_left(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    first, second = sshd_factory(username="deploy"), sshd_factory(username="deploy")
    link = start_link(first.sidecar_config())
    await link.until_connected()
    second.authorize(first.client_key)
    await link.link.reconfigure(
        first.sidecar_config(
            target=Target(address=second.address, port=second.port, username=second.username),
            host_key=PinnedHostKeys(public_keys=(second.host_key,)),
        )
    )
    await link.run("touch here")
    assert second.local("/home/deploy/here").exists()
    assert not first.local("/home/deploy/here").exists()
    assert link.status.host_key_fingerprint == second.fingerprint
    await eventually(lambda: _connections(first) == 0, "the old connection to end")


async def test_a_corrected_target_does_not_wait_for_the_wrong_one(sshd: Sshd, start_link: StartLink) -> None:
    with silent_server() as port:
        config = sshd.sidecar_config()
        wrong = Target(address="127.0.0.1", port=port, username="root")
        link = start_link(config.model_copy(update={"target": wrong}))
        await link.until_reason("Unreachable", seconds=5)
        await link.link.reconfigure(config)
        # Before the wrong one would have been given up.
        await link.until_connected(seconds=5)


async def test_calls_that_wait_when_the_link_ends_get_an_error(
    sshd: Sshd, start_link: StartLink, usual_calls: None
) -> None:
    link = start_link(sshd.sidecar_config(connection=Connection(max_connections=1)))
    await link.until_connected()
    # More than one connection carries, so that some still wait for a session.
    tasks = [asyncio.create_task(link.run("sleep 98.5")) for _ in range(20)]
    await eventually(lambda: sshd.running("98.5"), "a command to run")
    await asyncio.wait_for(link.stop(), PATIENCE_SECONDS)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_SECONDS)
    assert all(isinstance(result, LinkError) for result in results)


async def test_nothing_is_left_on_the_host_when_the_link_ends(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.run("true")
    await link.stop()
    await eventually(lambda: len(sshd.processes()) == 1, "only the listener to remain")


def _connections(server: Sshd) -> int:
    """TCP connections that clients hold to this server."""
    parents: dict[int, int] = {}
    for process in server.connection_processes():
        # A connection may end while we look.
        with contextlib.suppress(psutil.NoSuchProcess):
            parents[process.pid] = process.ppid()
    return sum(parent not in parents for parent in parents.values())
