"""Jump hosts: every hop has its own key, pin and credentials, and errors say which hop they are about."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncssh
import psutil
import pytest

from fairlead_sidecar.config import (
    AuthorityHostKeys,
    Connection,
    JumpHost,
    PinnedHostKeys,
    SidecarConfig,
    Target,
)
from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.statusz import LinkState
from tests.integration.ssh.gate import MakeGate
from tests.integration.ssh.running import StartLink
from tests.integration.ssh.silent import blackhole, closed_port, silent_server
from tests.integration.sshd import Sshd, SshdFactory, eventually

OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")


def pin(key: asyncssh.SSHKey) -> PinnedHostKeys:
    return PinnedHostKeys(public_keys=(key.export_public_key().decode(),))


def way_through(*bastions: Sshd) -> tuple[JumpHost, ...]:
    return tuple(bastion.jump_host(f"bastion-{number}") for number, bastion in enumerate(bastions, start=1))


@pytest.fixture
def servers(sshd_factory: SshdFactory) -> list[Sshd]:
    """Three jump hosts and the target, each with a key, a host key and an account of its own."""
    return [sshd_factory(username=name) for name in ("first", "second", "third", "deploy")]


async def test_a_target_is_reached_through_three_jump_hosts(servers: list[Sshd], start_link: StartLink) -> None:
    *bastions, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(*bastions)))
    assert (await link.run("id -un; echo $SSH_CONNECTION")).stdout.splitlines()[0] == b"deploy"
    assert link.status.host_key_fingerprint == target.fingerprint
    for server in servers:
        log = server.log.read_text()
        assert log.count("Accepted publickey") == 1
        assert server.client_key.get_fingerprint() in log
    await link.stop()
    for server in servers:
        await eventually(lambda server=server: len(server.processes()) == 1, "all connections to end")  # type: ignore[misc]  # a lambda in a loop


async def test_commands_and_files_pass_through_a_jump_host(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion)))
    await link.until_connected()
    results = await asyncio.gather(*(link.run(f"echo {number}") for number in range(20)))
    assert [result.stdout for result in results] == [b"%d\n" % number for number in range(20)]
    assert len((await link.run("head -c 2000000 /dev/zero", keep=3_000_000)).stdout) == 2_000_000
    async with link.link.sftp() as sftp:
        assert await sftp.exists(target.remote_home)


async def test_more_connections_to_the_target_need_no_more_logins_to_the_jump_hosts(
    servers: list[Sshd], start_link: StartLink, gate: MakeGate
) -> None:
    *bastions, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(*bastions)))
    await link.until_connected()
    held = gate(target)
    # Ten sessions are all that one connection has.
    tasks = [asyncio.create_task(link.run(held.wait, timeout=100)) for _ in range(30)]
    await eventually(lambda: target.log.read_text().count("Accepted publickey") >= 2, "a further connection")
    held.let(30)
    results = await asyncio.gather(*tasks)
    assert all(result.exit_code == 0 for result in results)
    assert [bastion.log.read_text().count("Accepted publickey") for bastion in bastions] == [1, 1, 1]
    await link.stop()
    for server in servers:
        await eventually(lambda server=server: len(server.processes()) == 1, "all connections to end")  # type: ignore[misc]  # a lambda in a loop


async def test_the_way_outlives_the_connection_that_it_was_made_for(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion)))
    # Only then its connection has all its processes.
    await link.run("true")
    await link.until_at_rest()
    first = target.connection_processes()
    # Until told to go on: those of the first connection must not have ended when a slow machine has the second one.
    tasks = [asyncio.create_task(link.run("until test -e go-on; do sleep 1; done; echo done")) for _ in range(30)]

    def more_than_one_carries() -> bool:
        running = 0
        for process in target.processes():
            with suppress(psutil.NoSuchProcess):
                running += process.name() == "sleep"
        return running > 10

    await eventually(more_than_one_carries, "a further connection")
    for process in first:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    (target.home / "go-on").touch()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(result, ConnectionLost) for result in results)
    assert any(not isinstance(result, BaseException) and result.stdout == b"done\n" for result in results)
    assert bastion.log.read_text().count("Accepted publickey") == 1
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_a_wrong_pin_of_the_first_hop_ends_there(servers: list[Sshd], start_link: StartLink) -> None:
    first, second, _, target = servers
    jumps = (first.jump_host("bastion-1", host_key=pin(OTHER_KEY)), second.jump_host("bastion-2"))
    link = start_link(target.sidecar_config(jump_hosts=jumps))
    status = await link.until_reason("HostKeyMismatch")
    assert status.message.startswith(f"jump host 127.0.0.1:{first.port} presented")
    assert first.fingerprint in status.message
    assert OTHER_KEY.get_fingerprint() in status.message
    # That is the target's, which was not seen.
    assert status.host_key_fingerprint is None
    assert "Accepted" not in first.log.read_text()
    assert "Connection from" not in second.log.read_text().split("Server listening", 1)[1].split("\n", 3)[-1]


async def test_a_key_that_the_second_hop_refuses_is_named_with_it(servers: list[Sshd], start_link: StartLink) -> None:
    first, second, _, target = servers
    second.authorize(OTHER_KEY)
    link = start_link(target.sidecar_config(jump_hosts=way_through(first, second)))
    status = await link.until_reason("AuthenticationFailed")
    assert status.message.startswith(f"jump host 127.0.0.1:{second.port} refused the login of user second")
    assert second.client_key.get_fingerprint() in status.message
    assert "Secret bastion-2" in status.message
    assert status.host_key_fingerprint is None
    second.authorize(OTHER_KEY, second.client_key)
    (second.secret / "ssh-privatekey").write_bytes(OTHER_KEY.export_private_key())
    await link.until_connected()


async def test_a_pin_of_the_target_says_nothing_about_its_jump_host(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    jumps = (bastion.jump_host("bastion", host_key=pin(target.host_keys["ssh-ed25519"])),)
    await start_link(target.sidecar_config(jump_hosts=jumps)).until_reason("HostKeyMismatch")


async def test_a_jump_host_that_leads_to_another_server_gets_nothing_out_of_it(
    servers: list[Sshd], start_link: StartLink
) -> None:
    bastion, imposter, _, target = servers
    imposter.authorize(target.client_key)
    # The address leads to the imposter, the pin is the target's.
    config = target.sidecar_config(jump_hosts=way_through(bastion))
    wrong = config.target.model_copy(update={"port": imposter.port, "username": imposter.username})
    link = start_link(config.model_copy(update={"target": wrong}))
    status = await link.until_reason("HostKeyMismatch")
    assert status.message.startswith(f"127.0.0.1:{imposter.port} presented")
    assert status.host_key_fingerprint == imposter.fingerprint
    assert target.client_key.get_fingerprint() not in imposter.log.read_text()


async def test_a_missing_secret_of_a_hop_is_named_with_it(
    servers: list[Sshd], start_link: StartLink, tmp_path: Path
) -> None:
    bastion, *_, target = servers
    key = (bastion.secret / "ssh-privatekey").read_bytes()
    (bastion.secret / "ssh-privatekey").unlink()
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion)))
    status = await link.until_reason("SecretNotFound")
    assert status.message.startswith(f"jump host 127.0.0.1:{bastion.port}: Secret bastion-1 is missing")
    (bastion.secret / "ssh-privatekey").write_bytes(key)
    await link.until_connected(seconds=15)


async def test_new_credentials_of_a_hop_are_used_without_a_pause(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion)))
    await link.until_connected()
    bastion.authorize(OTHER_KEY)
    (bastion.secret / "ssh-privatekey").write_bytes(OTHER_KEY.export_private_key())
    await eventually(lambda: OTHER_KEY.get_fingerprint() in bastion.log.read_text(), "a login with the new key")
    assert (await link.run("echo ok")).stdout == b"ok\n"
    assert link.counts.connected == [True]


async def test_a_jump_host_that_goes_down_and_comes_back(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion)))
    await link.until_connected()
    task = asyncio.create_task(link.run("echo begun; sleep 95.5"))
    await eventually(lambda: target.running("95.5"), "the command to run")
    bastion.stop()
    with pytest.raises(ConnectionLost):
        await asyncio.wait_for(task, 15)
    status = await link.until_reason("Unreachable")
    assert f"jump host 127.0.0.1:{bastion.port} refused the connection" in status.message
    bastion.start()
    assert (await link.run("echo back")).stdout == b"back\n"


async def test_a_hung_jump_host_is_noticed_by_keepalive(
    servers: list[Sshd], start_link: StartLink, quick_keepalive: Connection
) -> None:
    bastion, *_, target = servers
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion), connection=quick_keepalive))
    await link.until_connected()
    bastion.freeze()
    await eventually(lambda: link.status.state is LinkState.FAILED, "keepalive to notice", seconds=15)
    bastion.thaw()
    await link.until_connected()


async def test_a_jump_host_that_forbids_forwarding_is_said(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    bastion, target = sshd_factory(options={"AllowTcpForwarding": "no"}), sshd_factory(username="deploy")
    link = start_link(target.sidecar_config(jump_hosts=way_through(bastion)))
    status = await link.until_reason("Unreachable")
    forbidden = f"jump host 127.0.0.1:{bastion.port} does not allow connections to 127.0.0.1:{target.port}"
    assert forbidden in status.message
    assert "AllowTcpForwarding" in status.message


async def test_a_target_where_nothing_listens_is_told_from_one_that_is_forbidden(
    sshd: Sshd, start_link: StartLink
) -> None:
    port = closed_port()
    target = Target(address="127.0.0.1", port=port, username="root")
    link = start_link(sshd.sidecar_config(target=target, jump_hosts=way_through(sshd)))
    status = await link.until_reason("Unreachable")
    assert f"127.0.0.1:{port} can't be reached from the jump host 127.0.0.1:{sshd.port}" in status.message


async def test_a_jump_host_that_never_answers_is_named(sshd: Sshd, start_link: StartLink) -> None:
    with blackhole() as port:
        jump = sshd.jump_host("bastion", target=Target(address="127.0.0.1", port=port, username="root"))
        link = start_link(sshd.sidecar_config(jump_hosts=(jump,), connection=Connection(connect_timeout=6)))
        await link.until_message(f"jump host 127.0.0.1:{port} did not answer within 3 s")
        await link.until_message(f"jump host 127.0.0.1:{port} did not answer within 6 s")


async def test_a_silent_target_behind_a_jump_host_is_named_by_its_own_deadline(
    sshd: Sshd, start_link: StartLink
) -> None:
    with silent_server() as port:
        target = Target(address="127.0.0.1", port=port, username="root")
        link = start_link(
            sshd.sidecar_config(target=target, jump_hosts=way_through(sshd), connection=Connection(connect_timeout=2))
        )
        await link.until_message(f"127.0.0.1:{port} accepted the TCP connection, but sent no SSH greeting within 2 s")
        await link.stop()
    # Neither the login that was under way nor the one that failed leaves its connection to the jump host behind.
    await eventually(lambda: len(sshd.processes()) == 1, "the tunnels to end")


async def test_a_silent_jump_host_is_named(sshd: Sshd, start_link: StartLink) -> None:
    with silent_server() as port:
        jump = sshd.jump_host("bastion", target=Target(address="127.0.0.1", port=port, username="root"))
        link = start_link(sshd.sidecar_config(jump_hosts=(jump,), connection=Connection(connect_timeout=2)))
        await link.until_message(f"jump host 127.0.0.1:{port} accepted the TCP connection, but sent no SSH greeting")


async def test_another_way_to_the_target_is_taken_at_once(servers: list[Sshd], start_link: StartLink) -> None:
    first, second, _, target = servers
    config = target.sidecar_config(jump_hosts=way_through(first))
    link = start_link(config)
    await link.until_connected()
    await link.link.reconfigure(_via(config, *way_through(second)))
    await eventually(lambda: "Accepted" in second.log.read_text(), "a login through the other jump host")
    assert (await link.run("echo ok")).stdout == b"ok\n"
    await eventually(lambda: len(first.processes()) == 1, "the old way to be left")
    await link.link.reconfigure(_via(config))
    await eventually(lambda: len(second.processes()) == 1, "no jump host to be used")
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_a_pin_of_a_jump_host_that_is_withdrawn_ends_the_link(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    config = target.sidecar_config(jump_hosts=way_through(bastion))
    link = start_link(config)
    await link.until_connected()
    task = asyncio.create_task(link.run("sleep 96.5"))
    await eventually(lambda: target.running("96.5"), "the command to run")
    await link.link.reconfigure(_via(config, bastion.jump_host("bastion-1", host_key=pin(OTHER_KEY))))
    with pytest.raises(ConnectionLost):
        await task
    await link.until_reason("HostKeyMismatch")


async def test_an_unchanged_way_is_kept(servers: list[Sshd], start_link: StartLink) -> None:
    bastion, *_, target = servers
    config = target.sidecar_config(jump_hosts=way_through(bastion))
    link = start_link(config)
    await link.until_connected()
    again = SidecarConfig.parse(config.model_copy(update={"description": "changed"}).render())
    await link.link.reconfigure(again.model_copy(update={"connection": Connection(keepalive_interval=0.5)}))
    assert (await link.run("echo ok")).stdout == b"ok\n"
    assert bastion.log.read_text().count("Accepted publickey") == 1


async def test_a_jump_host_with_a_certificate_of_the_authority_is_trusted(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    bastion, target = sshd_factory(host_authority=authority), sshd_factory(username="deploy")
    trust = AuthorityHostKeys(public_keys=(authority.export_public_key().decode(),))
    link = start_link(target.sidecar_config(jump_hosts=(bastion.jump_host("bastion", host_key=trust),)))
    assert (await link.run("id -un")).stdout == b"deploy\n"


def _via(config: SidecarConfig, *jumps: JumpHost) -> SidecarConfig:
    return config.model_copy(update={"jump_hosts": jumps})
