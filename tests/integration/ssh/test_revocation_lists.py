"""Certificates and key revocation lists of the operator, judged by OpenSSH itself."""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from fairlead_api.auth import KeyAlgorithm
from fairlead_operator.credentials.certificates import CertificateRequest, Signer, load_signer, sign
from fairlead_operator.credentials.keys import KeyPair, generate_key_pair
from fairlead_operator.credentials.krl import revocation_list
from tests.integration.sshd import Sshd, SshdFactory

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LARGEST = 2**64 - 1

Refused = Callable[[bytes, Signer, int], bool]


def _authority(algorithm: KeyAlgorithm = KeyAlgorithm.ED25519) -> Signer:
    return load_signer(generate_key_pair(algorithm, "ca").private)


def _certificate(authority: Signer, key: KeyPair, serial: int, **changes: object) -> str:
    request = {
        "public_key": key.public,
        "key_id": "shop/web-01/pod",
        "principals": ("root",),
        "validity": timedelta(hours=1),
    }
    return sign(authority, CertificateRequest(**{**request, **changes}), serial=serial, now=datetime.now(UTC))  # type: ignore[arg-type]  # tests change any field


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Whether `ssh-keygen -Q` finds a certificate with this serial, signed by this authority, in a list."""
    key = generate_key_pair(KeyAlgorithm.ED25519, "")

    def ask(krl: bytes, authority: Signer, serial: int) -> bool:
        (tmp_path / "krl").write_bytes(krl)
        (tmp_path / "id-cert.pub").write_text(_certificate(authority, key, serial) + "\n")
        command = ["ssh-keygen", "-Q", "-f", str(tmp_path / "krl"), str(tmp_path / "id-cert.pub")]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert asked.returncode in (0, 1), asked.stderr
        assert ("REVOKED" in asked.stdout) == (asked.returncode == 1), asked.stdout + asked.stderr
        return asked.returncode == 1

    return ask


def test_an_empty_list_refuses_nothing(refused: Refused) -> None:
    assert not refused(revocation_list({}, version=0, generated=NOW), _authority(), 1)


def test_exactly_the_listed_serials_are_refused(refused: Refused) -> None:
    authority, listed = _authority(), (LARGEST, 7, 2**53 - 1, 7)
    krl = revocation_list({authority.public_key: listed}, version=1, generated=NOW)
    assert all(refused(krl, authority, serial) for serial in listed)
    assert not any(refused(krl, authority, serial) for serial in (0, 6, 8, 2**53, LARGEST - 1))


def test_a_serial_is_refused_only_of_the_authority_that_it_is_listed_for(refused: Refused) -> None:
    first, second, third = _authority(), _authority(), _authority(KeyAlgorithm.RSA)
    serials = {first.public_key: [1], second.public_key: [2], third.public_key: [3]}
    krl = revocation_list(serials, version=1, generated=NOW)
    assert [refused(krl, first, serial) for serial in (1, 2, 3)] == [True, False, False]
    assert [refused(krl, second, serial) for serial in (1, 2, 3)] == [False, True, False]
    assert [refused(krl, third, serial) for serial in (1, 2, 3)] == [False, False, True]


def test_all_that_a_refused_authority_signed_is_refused(refused: Refused) -> None:
    former, active = _authority(), _authority()
    krl = revocation_list({active.public_key: [5]}, [former.public_key], version=1, generated=NOW)
    assert refused(krl, former, 1)
    assert refused(krl, active, 5)
    assert not refused(krl, active, 1)


def test_a_list_can_be_shown(tmp_path: Path) -> None:
    authority = _authority()
    krl = revocation_list({authority.public_key: [41, 43]}, version=12, generated=NOW, comment="shop/fleet")
    (tmp_path / "krl").write_bytes(krl)
    command = ["ssh-keygen", "-Q", "-l", "-f", str(tmp_path / "krl")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}).stdout
    for part in ("KRL version 12", "20260301T120000", "shop/fleet", authority.fingerprint, "serial: 41", "serial: 43"):
        assert part in shown


# A server that trusts nothing but an authority


@pytest.fixture
def trusting(sshd_factory: SshdFactory, tmp_path: Path) -> tuple[Sshd, Signer, Path]:
    """A server without authorized keys, the authority that it trusts, and its list of what is revoked (empty)."""
    authority, krl = _authority(), tmp_path / "revoked.krl"
    (tmp_path / "ca.pub").write_text(authority.public_key + "\n")
    krl.write_bytes(revocation_list({}, version=0, generated=NOW))
    options = {"AuthorizedKeysFile": "none", "TrustedUserCAKeys": str(tmp_path / "ca.pub"), "RevokedKeys": str(krl)}
    return sshd_factory(options=options), authority, krl


async def _login(server: Sshd, key: KeyPair, certificate: str) -> str:
    pair = (asyncssh.import_private_key(key.private), asyncssh.import_certificate(certificate))
    trusted = asyncssh.import_known_hosts(f"[{server.address}]:{server.port} {server.host_key}\n")
    async with asyncssh.connect(
        server.address,
        server.port,
        username="root",
        client_keys=[pair],
        known_hosts=trusted,
        config=None,
        agent_path=None,
    ) as connection:
        return str((await connection.run("echo in", check=True)).stdout).strip()


async def test_a_certificate_logs_in_until_its_serial_is_revoked(trusting: tuple[Sshd, Signer, Path]) -> None:
    server, authority, krl = trusting
    key = generate_key_pair(KeyAlgorithm.ED25519, "")
    revoked, other = _certificate(authority, key, 1001), _certificate(authority, key, 1002)
    assert await _login(server, key, revoked) == "in"
    krl.write_bytes(revocation_list({authority.public_key: [1001]}, version=1, generated=NOW))
    with pytest.raises(asyncssh.PermissionDenied):
        await _login(server, key, revoked)
    assert "revoked" in server.log.read_text()
    assert await _login(server, key, other) == "in"


async def test_a_certificate_is_good_for_its_principals_addresses_and_authority_only(
    trusting: tuple[Sshd, Signer, Path],
) -> None:
    server, authority, _ = trusting
    key = generate_key_pair(KeyAlgorithm.RSA, "")
    assert await _login(server, key, _certificate(authority, key, 1, source_addresses=("127.0.0.0/8",))) == "in"
    for refused in (
        _certificate(authority, key, 2, principals=("deploy",)),
        _certificate(authority, key, 3, source_addresses=("192.0.2.0/24", "2001:db8::/32")),
        _certificate(_authority(), key, 4),
        _certificate(authority, key, 5, validity=timedelta(seconds=-60)),
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            await _login(server, key, refused)


async def test_a_host_may_take_only_certificates_that_were_made_for_it(
    sshd_factory: SshdFactory, tmp_path: Path
) -> None:
    authority, key = _authority(), generate_key_pair(KeyAlgorithm.ED25519, "")
    (tmp_path / "ca.pub").write_text(authority.public_key + "\n")
    (tmp_path / "principals").mkdir()
    (tmp_path / "principals" / "root").write_text("shop/web-01\n")
    options = {
        "AuthorizedKeysFile": "none",
        "TrustedUserCAKeys": str(tmp_path / "ca.pub"),
        "AuthorizedPrincipalsFile": str(tmp_path / "principals" / "%u"),
    }
    server = sshd_factory(options=options)
    assert await _login(server, key, _certificate(authority, key, 1, principals=("shop/web-01",))) == "in"
    for other in (("shop/web-02",), ("root",)):
        with pytest.raises(asyncssh.PermissionDenied):
            await _login(server, key, _certificate(authority, key, 2, principals=other))


async def test_connections_go_through_the_host_only_where_the_certificate_permits_it(
    trusting: tuple[Sshd, Signer, Path],
) -> None:
    server, authority, _ = trusting
    key = generate_key_pair(KeyAlgorithm.ED25519, "")
    trusted = asyncssh.import_known_hosts(f"[{server.address}]:{server.port} {server.host_key}\n")

    async def through(certificate: str) -> bytes:
        pair = (asyncssh.import_private_key(key.private), asyncssh.import_certificate(certificate))
        async with asyncssh.connect(
            server.address, server.port, username="root", client_keys=[pair], known_hosts=trusted, config=None
        ) as connection:
            reader, _ = await connection.open_connection(server.address, server.port, encoding=None)
            return bytes(await reader.readexactly(8))

    assert await through(_certificate(authority, key, 1, port_forwarding=True)) == b"SSH-2.0-"
    with pytest.raises(asyncssh.ChannelOpenError):
        await through(_certificate(authority, key, 2))
