"""Credentials that succeed others: offered first, tried until the host takes them, and no work is lost meanwhile."""

import asyncio
import time

import asyncssh
import pytest

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.ssh import link as link_module
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually

AUTHORITY, NEXT_AUTHORITY = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))


@pytest.fixture(autouse=True)
def quick_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "TRIAL_SECONDS", 1.0)


def next_key(server: Sshd) -> asyncssh.SSHKey:
    """A key that lies beside the one in use; the host does not know it yet."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (server.secret / "next-ssh-privatekey").write_bytes(key.export_private_key())
    return key


async def until_key(link: RunningLink, key: asyncssh.SSHKey) -> None:
    wanted = key.get_fingerprint()
    await eventually(lambda: link.status.login_key_fingerprint == wanted, f"a login with {wanted}")


async def test_the_key_of_a_login_is_reported(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    assert link.status.login_key_fingerprint == sshd.client_key.get_fingerprint()
    assert link.status.certificate_serial is None
    assert link.status.host_key == sshd.host_key


async def test_a_login_with_a_password_has_no_key(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", password=True)
    server.authorize()
    (server.secret / "password").write_text("open sesame 42")
    link = start_link(server.sidecar_config())
    await link.until_connected()
    assert link.status.login_key_fingerprint is None


async def test_a_successor_that_the_host_knows_is_used(sshd: Sshd, start_link: StartLink) -> None:
    successor = next_key(sshd)
    sshd.authorize(sshd.client_key, successor)
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    assert link.status.login_key_fingerprint == successor.get_fingerprint()


async def test_a_successor_is_used_as_soon_as_the_host_knows_it(sshd: Sshd, start_link: StartLink) -> None:
    successor = next_key(sshd)
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    assert link.status.login_key_fingerprint == sshd.client_key.get_fingerprint()
    login = link.link._login
    accepted = sshd.log.read_text().count("Accepted publickey")
    # The trials log in, too: with the key that the host knows.
    await eventually(lambda: sshd.log.read_text().count("Accepted publickey") >= accepted + 2, "trials")
    assert "authenticating user" not in sshd.log.read_text(), "a connection ended without a login"
    assert link.link._login is login, "the connection in use is another one"
    sshd.authorize(sshd.client_key, successor)
    await until_key(link, successor)
    assert len(link.counts.connected) == 1


async def test_without_a_successor_there_are_no_trials(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    await asyncio.sleep(2.5)
    assert sshd.log.read_text().count("Accepted publickey") == 1


async def test_a_successor_becomes_the_key_and_no_command_fails(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    failures: list[FairleadError] = []
    runs = 0
    done = asyncio.Event()

    async def load() -> None:
        nonlocal runs
        while not done.is_set():
            try:
                assert (await link.run("echo ok")).stdout == b"ok\n"
            except FairleadError as error:
                failures.append(error)
            runs += 1
            await asyncio.sleep(0.05)

    work = [asyncio.create_task(load()) for _ in range(3)]
    long = asyncio.create_task(link.run("sleep 4; echo done"))
    successor = next_key(sshd)
    await asyncio.sleep(1.5)
    sshd.authorize(sshd.client_key, successor)
    await until_key(link, successor)
    (sshd.secret / "ssh-privatekey").write_bytes(successor.export_private_key())
    (sshd.secret / "next-ssh-privatekey").unlink()
    sshd.authorize(successor)
    assert (await long).stdout == b"done\n"
    before = runs
    await eventually(lambda: runs > max(50, before + 10), "calls before and after")
    done.set()
    await asyncio.gather(*work)
    assert not failures, failures[:3]
    assert link.counts.connected == [True]


async def test_a_successor_that_is_no_key_is_said_and_the_key_goes_on(sshd: Sshd, start_link: StartLink) -> None:
    (sshd.secret / "next-ssh-privatekey").write_text("nonsense")
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    assert link.status.reason == "CredentialsInvalid"
    assert "Key `next-ssh-privatekey` of Secret web-01-ssh is no private key" in link.status.message
    assert (await link.run("echo ok")).stdout == b"ok\n"


def certify(server: Sshd, authority: asyncssh.SSHKey, name: str, serial: int) -> asyncssh.SSHKey:
    """A new key in the Secret, with a certificate for it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_user_certificate(
        key, "test", serial=serial, principals=[server.username], valid_before="+1h"
    )
    (server.secret / f"{name}ssh-certificate").write_bytes(certificate.export_certificate())
    (server.secret / f"{name}ssh-privatekey").write_bytes(key.export_private_key())
    return key


def trust(server: Sshd, *authorities: asyncssh.SSHKey) -> None:
    lines = b"".join(authority.export_public_key() for authority in authorities)
    (server.directory / "authorities.pub").write_bytes(lines)


@pytest.fixture
def certified_sshd(sshd_factory: SshdFactory) -> Sshd:
    """Trusts an authority, and no key."""
    server = sshd_factory(started=False)
    trust(server, AUTHORITY)
    server.options["TrustedUserCAKeys"] = str(server.directory / "authorities.pub")
    server.change_host_keys()
    server.authorize()
    server.start()
    return server


async def test_the_serial_of_the_certificate_is_reported(certified_sshd: Sshd, start_link: StartLink) -> None:
    serial = 2**63 - 17
    key = certify(certified_sshd, AUTHORITY, "", serial)
    link = start_link(certified_sshd.sidecar_config())
    await link.until_connected()
    assert link.status.login_key_fingerprint == key.get_fingerprint()
    assert link.status.certificate_serial == serial
    assert link.link.certificate_serial == serial


async def test_a_certificate_of_the_next_authority_is_used_once_the_host_trusts_it(
    certified_sshd: Sshd, start_link: StartLink
) -> None:
    certify(certified_sshd, AUTHORITY, "", 1)
    link = start_link(certified_sshd.sidecar_config())
    await link.until_connected()
    key = certify(certified_sshd, NEXT_AUTHORITY, "next-", 2)
    started = time.monotonic()
    await eventually(
        lambda: certified_sshd.log.read_text().count("Accepted publickey") >= 3, "trials with the certificate in use"
    )
    assert time.monotonic() - started < 30
    assert link.status.certificate_serial == 1
    trust(certified_sshd, AUTHORITY, NEXT_AUTHORITY)
    await until_key(link, key)
    assert link.status.certificate_serial == 2
