"""A host key that does not match ends everything of the host, until a person has decided; a first one is reported."""

import asyncio

import asyncssh
import pytest

from fairlead_sidecar.config import FirstUseHostKey, PinnedHostKeys, SidecarConfig, trust_digest
from fairlead_sidecar.errors import ConnectionLost, HostKeyMismatch, HostKeyNotPinned
from fairlead_sidecar.ssh import link as link_module
from fairlead_sidecar.statusz import LinkState
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually


def pinned(config: SidecarConfig, *keys: str) -> SidecarConfig:
    return config.model_copy(update={"host_key": PinnedHostKeys(public_keys=keys)})


def connections(server: Sshd) -> int:
    """How many were ever made to the server."""
    return server.log.read_text().count("Connection from")


async def nothing_comes(server: Sshd, seconds: float = 3.0) -> None:
    """Nobody connects to the server any more."""
    # Of connections that were made before, the last is written into the log when it ends.
    await eventually(lambda: not server.connection_processes(), "all connections to end")
    before = connections(server)
    await asyncio.sleep(seconds)
    assert connections(server) == before


async def refused(link: RunningLink) -> None:
    assert link.status.state is LinkState.FAILED
    with pytest.raises(HostKeyMismatch):
        await link.run("true")


async def mismatched(server: Sshd, link: RunningLink) -> None:
    """A link that was up, to a server that then came back with another key."""
    await link.until_connected()
    server.change_host_keys()
    server.restart()
    await link.until_reason("HostKeyMismatch")


async def test_a_mismatch_is_tried_no_more(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    former = sshd.fingerprint
    await mismatched(sshd, link)
    refusal = link.status.host_key_refusal
    assert refusal is not None
    assert refusal.public_key == sshd.host_key == link.status.host_key
    assert sshd.fingerprint in refusal.message
    assert former in refusal.message
    await refused(link)
    await nothing_comes(sshd, 6)


async def test_a_mismatch_that_a_further_connection_meets_ends_the_others(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(options={"MaxSessions": "2"})
    link = start_link(server.sidecar_config())
    await link.until_connected()
    running = asyncio.create_task(link.run("sleep 98.5"))
    await eventually(lambda: server.running("98.5"), "the command to run")
    begun = asyncio.Event()
    files = asyncio.create_task(in_sftp(link, begun))
    await begun.wait()
    # The connections that are there stay with the server that made them.
    server.change_host_keys()
    server.reload()
    more = [asyncio.create_task(link.run("sleep 3")) for _ in range(4)]
    await link.until_reason("HostKeyMismatch")
    for task in (running, files, *more):
        with pytest.raises(HostKeyMismatch):
            await task
    await eventually(lambda: "Connection closed" in server.log.read_text(), "the connections to end")
    await refused(link)
    await nothing_comes(server)


async def test_a_mismatch_ends_what_runs_on_former_connections(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    link = start_link(config)
    await link.until_connected()
    running = asyncio.create_task(link.run("sleep 96.5"))
    await eventually(lambda: sshd.running("96.5"), "the command to run")
    await link.link.reconfigure(config.model_copy(update={"credentials_version": "2"}))
    await eventually(lambda: sshd.log.read_text().count("Accepted publickey") == 2, "a second connection")
    assert (await link.run("echo ok")).stdout == b"ok\n"
    sshd.change_host_keys()
    sshd.reload()
    await link.link.reconfigure(config.model_copy(update={"credentials_version": "3"}))
    await link.until_reason("HostKeyMismatch")
    with pytest.raises(HostKeyMismatch):
        await running


async def in_sftp(link: RunningLink, begun: asyncio.Event) -> None:
    async with link.link.sftp() as client:
        while True:
            try:
                await client.stat("/")
                begun.set()
            except (asyncssh.Error, OSError) as error:
                raise ConnectionLost("The connection was lost.") from error
            await asyncio.sleep(0.05)


async def test_a_mismatch_that_a_trial_meets_ends_the_link(
    sshd: Sshd, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "TRIAL_SECONDS", 1.0)
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    (sshd.secret / "next-ssh-privatekey").write_bytes(sshd.client_key.export_private_key())
    await link.until_message("next-ssh-privatekey")
    sshd.authorize()
    sshd.change_host_keys()
    sshd.reload()
    (sshd.secret / "ssh-privatekey").touch()
    await link.until_reason("HostKeyMismatch")
    await refused(link)


async def test_what_is_connected_again_is_what_a_person_trusts(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    link = start_link(config)
    await mismatched(sshd, link)
    # Something else is changed: nobody has said anything about the key.
    other_user = config.target.model_copy(update={"username": "deploy"})
    for change in ({"description": "the front"}, {"credentials_version": "2"}, {"target": other_user}):
        await link.link.reconfigure(config.model_copy(update=change))
        await refused(link)
        assert link.status.host_key_refusal is not None
    await nothing_comes(sshd, 2)
    await link.link.reconfigure(pinned(config, sshd.host_key))
    await link.until_connected()
    assert link.status.host_key_refusal is None
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_a_person_may_go_on_with_the_pin_once(sshd: Sshd, start_link: StartLink) -> None:
    config, keys = sshd.sidecar_config(), sshd.host_keys
    link = start_link(config)
    await mismatched(sshd, link)
    sshd.change_host_keys(keys)
    sshd.restart()
    await nothing_comes(sshd)
    accepted = config.model_copy(update={"host_key_acceptance": sshd.fingerprint})
    await link.link.reconfigure(accepted)
    await link.until_connected()
    sshd.change_host_keys()
    sshd.restart()
    await link.until_reason("HostKeyMismatch")
    await link.link.reconfigure(accepted)
    await refused(link)


async def test_a_refusal_outlives_the_process(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    first = start_link(config)
    await mismatched(sshd, first)
    refusal = first.status.host_key_refusal
    assert refusal is not None
    await first.stop()
    told = config.model_copy(update={"host_key_refusal": refusal})
    assert trust_digest(told) == refusal.trust
    before = connections(sshd)
    link = start_link(told)
    status = await link.until_reason("HostKeyMismatch")
    assert refusal.message in status.message
    assert status.host_key_refusal == refusal
    await refused(link)
    assert connections(sshd) == before
    await link.link.reconfigure(pinned(told, sshd.host_key))
    await link.until_connected()


async def test_a_running_link_obeys_a_refusal(sshd: Sshd, start_link: StartLink) -> None:
    config = sshd.sidecar_config()
    other = start_link(pinned(config, sshd_key()))
    refusal = (await other.until_reason("HostKeyMismatch")).host_key_refusal
    assert refusal is not None
    link = start_link(config)
    await link.until_connected()
    # Of another pin than the one in force: it says nothing about this link.
    await link.link.reconfigure(config.model_copy(update={"host_key_refusal": refusal}))
    assert (await link.run("echo ok")).stdout == b"ok\n"
    mine = refusal.model_copy(update={"trust": trust_digest(config)})
    await link.link.reconfigure(config.model_copy(update={"host_key_refusal": mine}))
    await refused(link)


def sshd_key() -> str:
    """A key that no server has."""
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


async def test_a_mismatch_of_a_jump_host_stops_the_target(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    jump, target = sshd_factory(), sshd_factory()
    config = target.sidecar_config(jump_hosts=(jump.jump_host("bastion"),))
    link = start_link(config)
    await link.until_connected()
    jump.change_host_keys()
    jump.restart()
    status = await link.until_reason("HostKeyMismatch")
    assert status.host_key_refusal is not None
    assert status.host_key_refusal.public_key == jump.host_key
    assert "jump host" in status.message
    # What the target presented is not what was refused.
    assert status.host_key_fingerprint == target.fingerprint
    await refused(link)
    await nothing_comes(jump)
    await link.link.reconfigure(config.model_copy(update={"jump_hosts": (jump.jump_host("bastion"),)}))
    await link.until_connected()


async def test_a_first_key_is_reported_and_nothing_is_sent(
    sshd: Sshd, start_link: StartLink, usual_calls: None
) -> None:
    config = sshd.sidecar_config(host_key=FirstUseHostKey())
    link = start_link(config)
    status = await link.until_reason("HostKeyNotPinned")
    assert status.host_key == sshd.host_key
    assert status.host_key_fingerprint == sshd.fingerprint
    assert status.host_key_refusal is None
    with pytest.raises(HostKeyNotPinned) as failure:
        await link.run("true")
    assert failure.value.retriable
    assert "publickey" not in sshd.log.read_text()
    assert "Accepted" not in sshd.log.read_text()
    await link.link.reconfigure(pinned(config, str(status.host_key)))
    await link.until_connected()


async def test_of_several_keys_the_first_one_seen_is_the_newest_kind(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(host_key_types=("ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"))
    link = start_link(server.sidecar_config(host_key=FirstUseHostKey()))
    status = await link.until_reason("HostKeyNotPinned")
    assert (status.host_key or "").startswith("ssh-ed25519 ")
