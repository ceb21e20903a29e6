from pathlib import Path

import asyncssh
import pytest

from fairlead_sidecar.config import AuthorityHostKeys, PinnedHostKeys
from fairlead_sidecar.errors import HostKeyMismatch
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys, authority_keys, known_keys, pinned_keys

ED25519, ECDSA, RSA = (
    asyncssh.generate_private_key(kind).convert_to_public()
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
)


def line(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def test_pins_may_have_comments_and_blanks_around_them() -> None:
    trusted = pinned_keys(PinnedHostKeys(public_keys=(f"  {line(ED25519)} root@web-01\n", line(RSA))))
    assert trusted.fingerprints == (ED25519.get_fingerprint(), RSA.get_fingerprint())


@pytest.mark.parametrize("pin", ["", "nonsense", "ssh-ed25519 AAAA", "SHA256:abc"])
def test_a_pin_that_is_no_key_is_named_by_its_number(pin: str) -> None:
    with pytest.raises(HostKeyMismatch, match="Pinned host key 2 is no public key"):
        pinned_keys(PinnedHostKeys(public_keys=(line(RSA), pin)))


@pytest.mark.parametrize(
    ("key", "first"), [(ED25519, "ssh-ed25519"), (ECDSA, "ecdsa-sha2-nistp256"), (RSA, "rsa-sha2-512")]
)
def test_the_algorithms_of_trusted_keys_come_first_and_none_is_missing(key: asyncssh.SSHKey, first: str) -> None:
    algorithms = pinned_keys(PinnedHostKeys(public_keys=(line(key),))).algorithms
    assert algorithms[0] == first
    assert {"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"} <= set(algorithms)
    assert "ssh-rsa" not in algorithms
    assert len(algorithms) == len(set(algorithms))


def test_nothing_known_never_turns_the_check_off(tmp_path: Path) -> None:
    trusted = known_keys([tmp_path / "missing"], "web-01", 22)
    assert trusted.known_hosts == ([], [], [])
    assert trusted.known_hosts is not None


def test_known_hosts_entries_are_found_by_name_and_port(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(
        f"# comment\n\nbroken line\nweb-01,192.0.2.1 {line(ED25519)}\n[web-01]:2222 {line(RSA)}\nother {line(ECDSA)}\n"
    )
    assert known_keys([file], "web-01", 22).keys == (ED25519,)
    assert known_keys([file], "web-01", 2222).keys == (RSA,)
    assert known_keys([file], "192.0.2.1", 22).keys == (ED25519,)
    assert known_keys([file], "web-02", 22).keys == ()


def test_a_revoked_key_is_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"web-01 {line(ED25519)}\n@revoked web-01 {line(ED25519)}\n")
    trusted = known_keys([file], "web-01", 22)
    assert not trusted.trusts(ED25519.get_fingerprint())


def test_an_authority_asks_for_certificates_first(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@cert-authority *.internal {line(ED25519)}\n")
    trusted = known_keys([file], "web-01.internal", 22)
    assert trusted.authorities == (ED25519,)
    assert trusted.algorithms[0] == "ssh-ed25519-cert-v01@openssh.com"


def test_an_authority_trusts_no_bare_key_not_even_its_own() -> None:
    trusted = authority_keys(AuthorityHostKeys(public_keys=(line(ED25519),)))
    assert trusted.known_hosts == ([], [ED25519], [])
    assert not trusted.trusts(ED25519.get_fingerprint())
    assert trusted.algorithms[0] == "ssh-ed25519-cert-v01@openssh.com"


def test_a_host_is_still_trusted_only_where_all_that_vouched_for_it_is() -> None:
    seen = ED25519.get_fingerprint()
    pinned, by_rsa = TrustedHostKeys((ED25519,)), TrustedHostKeys((), (RSA,))
    by_both = TrustedHostKeys((), (RSA, ECDSA))
    assert pinned.trusts_as(by_rsa, seen)
    assert by_both.trusts_as(by_rsa, seen)
    assert not by_rsa.trusts_as(by_both, seen)
    assert not by_rsa.trusts_as(pinned, seen)
    assert not TrustedHostKeys((), (RSA,), (RSA,)).trusts_as(by_rsa, seen)
    assert not TrustedHostKeys((), (RSA,), (ED25519,)).trusts_as(by_rsa, seen)
