"""What CredentialsReady, Connected, status and Events say of credentials that the operator makes."""

from datetime import timedelta
from typing import Any

from fairlead_api.conditions import HostReason
from fairlead_operator.reconcile.host_credentials import CertificateState, HostCredentials
from fairlead_operator.reconcile.host_status import announcements
from fairlead_operator.reconcile.observed import SidecarView
from fairlead_operator.reconcile.transitions import by_type
from tests.unit.operator.states import NOW, WORKING, condition, failed, host, observe

CERTIFICATE = {"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet"}}}
ISSUED = CertificateState(serial=7, expires=NOW + timedelta(minutes=40))
MISSING = (HostReason.AUTHORITY_NOT_FOUND, "The SSHCertificateAuthority 'fleet' does not exist.")


def with_certificate(state: CertificateState, view: SidecarView = WORKING, status: Any = None) -> dict[str, Any]:
    return observe(host(auth=CERTIFICATE, status=status), view, credentials=HostCredentials(certificate=state))


def with_key(key: str, following: str | None = None, status: Any = None) -> dict[str, Any]:
    some = HostCredentials(public_key=key, next_public_key=following)
    return observe(host(auth={"type": "Generated"}, status=status), WORKING, credentials=some)


def message(status: dict[str, Any], kind: str) -> str:
    return str(by_type(status)[kind]["message"])


def test_an_issued_certificate_is_said_with_who_it_names_and_for_how_long() -> None:
    status = with_certificate(ISSUED)
    assert condition(status, "CredentialsReady") == ("True", "CertificateIssued")
    assert "'fleet' signs certificates for deploy, each good for 1h" in message(status, "CredentialsReady")
    assert "publicKey" not in status


def test_without_a_pod_the_certificate_is_pending() -> None:
    status = with_certificate(CertificateState(), SidecarView())
    assert condition(status, "CredentialsReady") == ("Unknown", "CertificatePending")


def test_while_nothing_can_be_signed_what_works_goes_on_and_its_end_is_named() -> None:
    status = with_certificate(CertificateState(serial=7, expires=ISSUED.expires, problem=MISSING))
    assert condition(status, "CredentialsReady") == ("False", "AuthorityNotFound")
    assert message(status, "CredentialsReady").endswith("is good until 2026-03-01T12:40:00Z.")
    assert condition(status, "Ready") == ("True", "Ready")


def test_without_any_certificate_the_connection_says_why_there_is_none() -> None:
    view = failed("SecretNotFound", "Secret rh-web-01.certificate holds neither `ssh-privatekey` nor `password`.")
    status = with_certificate(CertificateState(problem=MISSING), view)
    for kind in ("Connected", "Ready"):
        assert condition(status, kind) == ("False", "AuthorityNotFound")
        assert "does not exist" in message(status, kind)


def test_an_authority_that_fails_is_an_event_once() -> None:
    before = with_certificate(ISSUED)
    broken = CertificateState(serial=7, expires=ISSUED.expires, problem=MISSING)
    after = with_certificate(broken, status=before)
    (event,) = announcements(before, after)
    assert (event.type, event.reason) == ("Warning", "AuthorityNotFound")
    assert announcements(after, with_certificate(broken, status=after)) == []
    assert announcements(after, with_certificate(ISSUED, status=after)) == []


def test_a_renewal_changes_nothing_in_the_status() -> None:
    before = with_certificate(ISSUED)
    renewed = CertificateState(serial=8, expires=NOW + timedelta(hours=1))
    assert with_certificate(renewed, status=before) == before
    assert HostCredentials(certificate=ISSUED).version != HostCredentials(certificate=renewed).version


def test_a_rotation_says_what_to_add_and_then_what_to_remove() -> None:
    first = with_key("ssh-ed25519 A")
    rotating = with_key("ssh-ed25519 A", "ssh-ed25519 B", status=first)
    assert condition(rotating, "CredentialsReady") == ("True", "KeyRotating")
    assert (rotating["publicKey"], rotating["nextPublicKey"]) == ("ssh-ed25519 A", "ssh-ed25519 B")
    (event,) = announcements(first, rotating)
    assert (event.type, event.reason) == ("Normal", "KeyRotating")
    done = with_key("ssh-ed25519 B", status=rotating)
    assert condition(done, "CredentialsReady") == ("True", "KeyGenerated")
    assert "nextPublicKey" not in done
    (event,) = announcements(rotating, done)
    assert (event.type, event.reason) == ("Normal", "KeyRotated")
    assert event.message.endswith(": ssh-ed25519 A")
