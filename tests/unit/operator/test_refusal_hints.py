"""What a person is told to do where a host refuses a login, by who made the credentials."""

from typing import Any

from fairlead_operator.reconcile.refusal_hints import refusal_hint
from tests.unit.operator.states import host


def hint(auth: dict[str, Any]) -> str:
    spec = host(auth=auth).spec
    assert spec is not None
    return refusal_hint("web-01", spec)


def certificate(**more: Any) -> dict[str, Any]:
    return {"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet"}, **more}}


def test_a_secret_of_ones_own_needs_no_other_hint_than_the_usual() -> None:
    assert hint({"type": "Secret", "secret": {"name": "web-01-ssh"}}) == ""


def test_a_generated_key_belongs_into_authorized_keys_and_nobody_is_sent_to_its_secret() -> None:
    assert hint({"type": "Generated"}) == (
        "Put status.publicKey of the RemoteHost 'web-01' into the authorized_keys of deploy on the host."
    )


def test_a_certificate_names_what_the_host_has_to_know() -> None:
    told = hint(certificate())
    for word in ("TrustedUserCAKeys", "'fleet'", "(deploy)", "AuthorizedPrincipalsFile", "RevokedKeys"):
        assert word in told
    assert "come from" not in told


def test_a_certificate_names_its_own_principals_and_networks() -> None:
    told = hint(certificate(principals=["shop/web-01", "ops"], sourceAddresses=["192.0.2.0/24"]))
    assert "(shop/web-01, ops)" in told
    assert "come from one of 192.0.2.0/24" in told
