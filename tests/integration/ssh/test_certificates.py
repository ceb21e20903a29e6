"""Certificates: of hosts, by an authority that is trusted for them, and of users."""

import asyncio
from typing import Any

import asyncssh
import pytest

from fairlead_sidecar.config import AuthorityHostKeys, SidecarConfig, Target
from fairlead_sidecar.errors import ConnectionLost, HostKeyMismatch
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually

AUTHORITY, OTHER = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))


def trust(*authorities: asyncssh.SSHKey) -> AuthorityHostKeys:
    return AuthorityHostKeys(public_keys=tuple(key.export_public_key().decode() for key in authorities))


def certified(server: Sshd, *authorities: asyncssh.SSHKey, **changes: Any) -> SidecarConfig:
    return server.sidecar_config(host_key=trust(*authorities or (AUTHORITY,)), **changes)


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_a_host_certificate_of_the_authority_is_trusted(
    sshd_factory: SshdFactory, start_link: StartLink, kind: str
) -> None:
    server = sshd_factory(host_authority=AUTHORITY, host_key_types=(kind,))
    link = start_link(certified(server))
    await link.until_connected()
    assert link.status.host_key_fingerprint == server.fingerprint


async def test_one_of_several_authorities_is_enough(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(host_authority=AUTHORITY)
    await start_link(certified(server, OTHER, AUTHORITY)).until_connected()


async def test_a_name_in_a_certificate_has_no_case(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(host_authority=AUTHORITY, host_certificate={"principals": ["localhost"]})
    target = Target(address="LocalHost", port=server.port, username="root")
    await start_link(certified(server, target=target)).until_connected()


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        ({"valid_after": "-2d", "valid_before": "-1d"}, "presented a certificate that has expired"),
        ({"valid_after": "+1d", "valid_before": "+2d"}, "presented a certificate that is not valid yet"),
        ({"principals": ["db-01"]}, "presented a certificate that is made out to other names than 127.0.0.1"),
    ],
)
async def test_what_is_wrong_with_a_host_certificate_is_said(
    sshd_factory: SshdFactory, start_link: StartLink, certificate: dict[str, Any], message: str
) -> None:
    server = sshd_factory(host_authority=AUTHORITY, host_certificate=certificate)
    link = start_link(certified(server))
    assert message in (await link.until_reason("HostKeyMismatch")).message
    with pytest.raises(HostKeyMismatch):
        await link.run("true")
    assert "Accepted" not in server.log.read_text()


async def test_a_certificate_of_another_authority_is_refused_with_both_fingerprints(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(host_authority=OTHER)
    status = await start_link(certified(server)).until_reason("HostKeyMismatch")
    assert f"a host certificate of the authority {OTHER.get_fingerprint()}" in status.message
    assert f"trusts only host certificates of the authority {AUTHORITY.get_fingerprint()}" in status.message


async def test_a_host_without_a_certificate_is_refused(sshd: Sshd, start_link: StartLink) -> None:
    status = await start_link(certified(sshd)).until_reason("HostKeyMismatch")
    assert f"presented the ssh-ed25519 host key {sshd.fingerprint}" in status.message
    assert "trusts only host certificates" in status.message
    assert status.host_key_fingerprint == sshd.fingerprint


async def test_the_key_of_the_authority_is_no_host_key(sshd: Sshd, start_link: StartLink) -> None:
    await start_link(certified(sshd, sshd.host_keys["ssh-ed25519"])).until_reason("HostKeyMismatch")


async def test_an_authority_that_is_no_key_is_named(sshd: Sshd, start_link: StartLink) -> None:
    broken = AuthorityHostKeys(public_keys=("ssh-ed25519 nonsense",))
    status = await start_link(sshd.sidecar_config(host_key=broken)).until_reason("HostKeyMismatch")
    assert "Public key of the host key authority 1 is no public key" in status.message


async def test_a_further_authority_changes_nothing(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(host_authority=AUTHORITY)
    config = certified(server)
    link = start_link(config)
    await link.until_connected()
    await link.link.reconfigure(config.model_copy(update={"host_key": trust(OTHER, AUTHORITY)}))
    assert (await link.run("echo ok")).stdout == b"ok\n"
    assert server.log.read_text().count("Accepted publickey") == 1


async def test_a_pin_of_the_certified_key_changes_nothing(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(host_authority=AUTHORITY)
    link = start_link(certified(server))
    await link.until_connected()
    await link.link.reconfigure(server.sidecar_config())
    assert (await link.run("echo ok")).stdout == b"ok\n"
    assert server.log.read_text().count("Accepted publickey") == 1


async def test_an_authority_that_is_no_longer_trusted_ends_the_link(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(host_authority=AUTHORITY)
    config = certified(server)
    link = start_link(config)
    await link.until_connected()
    task = asyncio.create_task(link.run("sleep 97.5"))
    await eventually(lambda: server.running("97.5"), "the command to run")
    await link.link.reconfigure(config.model_copy(update={"host_key": trust(OTHER)}))
    with pytest.raises(ConnectionLost):
        await task
    await link.until_reason("HostKeyMismatch")


async def test_a_pin_does_not_vouch_for_an_authority(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config())
    await link.until_connected()
    await link.link.reconfigure(certified(sshd))
    await link.until_reason("HostKeyMismatch")


@pytest.mark.parametrize(
    ("validity", "said"),
    [
        ({"valid_after": "-2d", "valid_before": "-1d"}, "certificate, which has expired, and the private key"),
        ({"valid_after": "+1d", "valid_before": "+2d"}, "certificate, which is not valid yet, and the private key"),
    ],
)
async def test_a_user_certificate_out_of_its_time_is_said(
    sshd_factory: SshdFactory, start_link: StartLink, validity: dict[str, Any], said: str
) -> None:
    server = sshd_factory(started=False)
    (server.directory / "authority.pub").write_bytes(AUTHORITY.export_public_key())
    server.options["TrustedUserCAKeys"] = str(server.directory / "authority.pub")
    server.change_host_keys()
    server.authorize()
    server.start()
    certificate = AUTHORITY.generate_user_certificate(server.client_key, "test", principals=["root"], **validity)
    (server.secret / "ssh-certificate").write_bytes(certificate.export_certificate())
    link = start_link(server.sidecar_config())
    assert said in (await link.until_reason("AuthenticationFailed")).message
    fresh = AUTHORITY.generate_user_certificate(server.client_key, "test", principals=["root"], valid_before="+1h")
    (server.secret / "ssh-certificate").write_bytes(fresh.export_certificate())
    await link.until_connected()


async def test_an_expired_certificate_does_not_hide_a_key_that_the_host_knows(
    sshd: Sshd, start_link: StartLink
) -> None:
    certificate = AUTHORITY.generate_user_certificate(
        sshd.client_key, "test", principals=["root"], valid_after="-2d", valid_before="-1d"
    )
    (sshd.secret / "ssh-certificate").write_bytes(certificate.export_certificate())
    await start_link(sshd.sidecar_config()).until_connected()


async def test_a_host_certificate_is_no_credential(sshd: Sshd, start_link: StartLink) -> None:
    certificate = AUTHORITY.generate_host_certificate(sshd.client_key, "test", principals=["root"])
    (sshd.secret / "ssh-certificate").write_bytes(certificate.export_certificate())
    status = await start_link(sshd.sidecar_config()).until_reason("CredentialsInvalid")
    assert "Key `ssh-certificate` of Secret web-01-ssh is a host certificate" in status.message
