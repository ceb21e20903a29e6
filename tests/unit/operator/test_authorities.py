from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa

from fairlead_api.auth import KeyAlgorithm
from fairlead_api.authority import MAX_LISTED
from fairlead_api.conditions import AuthorityReason
from fairlead_operator.credentials.certificates import (
    PORT_FORWARDING,
    SKEW,
    CertificateRequest,
    facts,
    load_signer,
    sign,
)
from fairlead_operator.credentials.keys import generate_key_pair
from fairlead_operator.reconcile.authority import (
    AuthorityObservation,
    Problem,
    PublicKeys,
    announcements,
    authority_findings,
    authority_status,
)
from fairlead_operator.reconcile.authority_rotation import Requests, Step, next_step
from fairlead_operator.reconcile.ledger import Entry
from fairlead_operator.reconcile.objects import Authority, read_authority

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = PublicKeys(("SHA256:active", "ssh-ed25519 AAAA"))
BOTH = PublicKeys(("SHA256:active", "ssh-ed25519 AAAA"), ("SHA256:next", "ssh-ed25519 BBBB"))
SEEN = AuthorityObservation(NOW, KEYS)


# Certificates


def request(**changes: Any) -> CertificateRequest:
    public = generate_key_pair(KeyAlgorithm.ED25519, "").public
    return replace(CertificateRequest(public, "shop/web-01/pod", ("deploy",), timedelta(hours=1)), **changes)


def test_a_certificate_says_what_was_asked_for_and_permits_nothing_else() -> None:
    signer = load_signer(generate_key_pair(KeyAlgorithm.ED25519, "").private)
    read = facts(sign(signer, request(principals=("deploy", "web")), serial=2**63, now=NOW))
    assert (read.serial, read.key_id, read.principals) == (2**63, "shop/web-01/pod", ("deploy", "web"))
    assert (read.valid_after, read.valid_before) == (NOW - SKEW, NOW + timedelta(hours=1))
    assert (read.extensions, read.source_addresses) == (frozenset(), ())
    assert read.authority == signer.fingerprint
    more = facts(
        sign(signer, request(source_addresses=("10.0.0.0/8", "::1/128"), port_forwarding=True), serial=1, now=NOW)
    )
    assert more.source_addresses == ("10.0.0.0/8", "::1/128")
    assert more.extensions == {PORT_FORWARDING}


def test_a_certificate_for_everybody_is_not_made() -> None:
    signer = load_signer(generate_key_pair(KeyAlgorithm.ED25519, "").private)
    for principals in ((), ("",)):
        with pytest.raises(ValueError, match="every account"):
            sign(signer, request(principals=principals), serial=1, now=NOW)


def test_a_certificate_that_was_tampered_with_is_none() -> None:
    signer = load_signer(generate_key_pair(KeyAlgorithm.ED25519, "").private)
    text = sign(signer, request(), serial=1, now=NOW)
    for wrong in ("", "nonsense", request().public_key, text[:-12] + ("A" * 8) + text[-4:]):
        with pytest.raises(ValueError, match="SSH"):
            facts(wrong)


def _pem(key: Any) -> str:
    encoding, none = serialization.Encoding.PEM, serialization.NoEncryption()
    return str(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, none).decode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no private key"),
        ("nonsense", "is no private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----\n", "can't be read"),
        (_pem(ec.generate_private_key(ec.SECP256K1())), "nistp256"),
        (_pem(ed448.Ed448PrivateKey.generate()), "take Ed25519"),
        (_pem(dsa.generate_private_key(1024)), "take Ed25519"),
        (_pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
    ],
    ids=["nothing", "no key", "nothing within", "unknown curve", "Ed448", "DSA", "short RSA"],
)
def test_a_key_that_can_not_sign_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        load_signer(text)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)], ids=["ECDSA", "RSA"]
)
def test_keys_of_other_kinds_and_formats_sign_as_well(key: Any) -> None:
    signer = load_signer(_pem(key))
    assert facts(sign(signer, request(), serial=1, now=NOW)).authority == signer.fingerprint


def test_a_signer_shows_no_secret() -> None:
    private = generate_key_pair(KeyAlgorithm.ED25519, "").private
    assert "PrivateKey" not in repr(load_signer(private))


# Rotation


@pytest.mark.parametrize(
    ("rotating", "requests", "met", "accepted", "step"),
    [
        (False, Requests(), Requests(), False, Step.KEEP),
        (False, Requests("now"), Requests(), False, Step.ADD_NEXT),
        (False, Requests("now"), Requests("now"), False, Step.KEEP),
        (False, Requests("", "now"), Requests(), False, Step.KEEP),
        (False, Requests(""), Requests("earlier"), False, Step.KEEP),
        (True, Requests("now"), Requests("now"), False, Step.KEEP),
        (True, Requests("later"), Requests("now"), False, Step.KEEP),
        (True, Requests("now"), Requests("now"), True, Step.PROMOTE),
        (True, Requests("now", "earlier"), Requests("now", "earlier"), False, Step.KEEP),
        (True, Requests("now", "later"), Requests("now", "earlier"), False, Step.PROMOTE),
    ],
)
def test_a_key_is_replaced_on_request_and_once_every_host_has_accepted_the_next(
    rotating: bool, requests: Requests, met: Requests, accepted: bool, step: Step
) -> None:
    assert next_step(rotating=rotating, requests=requests, met=met, accepted=accepted) is step


# Status


def authority(status: dict[str, Any] | None = None, **spec: Any) -> Authority:
    metadata = {"name": "fleet", "namespace": "shop", "uid": "3c9a", "generation": 1, "resourceVersion": "1"}
    return read_authority({"metadata": metadata, "spec": {"type": "Generated", **spec}, "status": status or {}})


def told(some: Authority, seen: AuthorityObservation) -> tuple[str, str, str]:
    (finding,) = authority_findings(some, seen).values()
    assert finding is not None
    return finding.status.value, finding.reason, finding.message


def status(some: Authority, seen: AuthorityObservation) -> dict[str, Any]:
    return authority_status(some, seen, authority_findings(some, seen))


def test_an_object_of_a_later_version_is_left_as_it_is() -> None:
    before = status(authority(), SEEN)
    some = authority(before, type="Vault")
    after = status(some, AuthorityObservation(NOW, None, recorded=False))
    assert after["conditions"][0]["reason"] == "InvalidSpec"
    assert {key: after[key] for key in before if key != "conditions"} == {
        key: before[key] for key in before if key != "conditions"
    }


def test_a_problem_keeps_what_hosts_trust() -> None:
    before = status(authority(), SEEN)
    problem = Problem(AuthorityReason.KEY_LOST, "The Secret is gone.")
    after = status(authority(before), AuthorityObservation(NOW, None, problem=problem))
    assert told(authority(), AuthorityObservation(NOW, None, problem=problem)) == ("False", "KeyLost", problem.message)
    assert after["trustedUserCAKeys"] == before["trustedUserCAKeys"]


def test_a_rotation_names_the_hosts_that_lag_and_says_how_to_end_it() -> None:
    names = tuple(f"web-{number}" for number in range(9))
    seen = replace(SEEN, keys=BOTH, waiting=names)
    _, reason, message = told(authority(), seen)
    assert reason == "Rotating"
    assert "web-0, web-1, web-2, web-3, web-4 and 4 more" in message
    assert "fairlead.dev/complete-rotation" in message
    own = authority(type="Secret", secret={"name": "my-ca"})
    assert "complete-rotation" not in told(own, seen)[2]
    assert "remove next-ssh-privatekey" in told(own, replace(seen, waiting=()))[2]
    assert len(status(authority(), seen)["trustedUserCAKeys"].splitlines()) == 2


def test_the_status_is_bounded_and_shows_the_newest() -> None:
    entries = [Entry(serial, "web-01", "uid", 1_800_000_000, "SHA256:active") for serial in range(3000, 1, -1)]
    made = status(authority(), replace(SEEN, in_force=entries, revoked=frozenset(range(5000, 7000))))
    assert made["certificateCount"] == len(entries)
    assert made["revokedSerialCount"] == 2000
    assert [some["serial"] for some in made["certificates"]] == list(range(3000, 3000 - MAX_LISTED, -1))
    assert made["revokedSerials"] == list(range(7000 - MAX_LISTED, 7000))


def test_events_tell_of_steps_only() -> None:
    first = status(authority(), SEEN)
    assert [some.reason for some in announcements({}, first)] == ["Ready"]
    assert announcements(first, status(authority(first), SEEN)) == []
    changed = replace(SEEN, keys=PublicKeys(("SHA256:next", "ssh-ed25519 BBBB")), revoked=frozenset({7}))
    second = status(authority(first), changed)
    assert [some.reason for some in announcements(first, second)] == ["KeyChanged", "CertificatesRevoked"]
    assert announcements(second, status(authority(second), SEEN))[0].reason == "KeyChanged"
