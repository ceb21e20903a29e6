"""Certificates of hosts: bad ones are refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import REMOVED, admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
NETWORK = "must be a network such as 10.0.0.0/8"
PRINCIPAL = "must be the name of an account or of a role"
VALIDITY = "must be a duration from 5m to 24h, written like 30s, 5m or 1h30m"


@pytest.fixture
def host(admission_namespace: str) -> Object:
    auth = {"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet-ca"}}}
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY, auth=auth)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("certificate", REMOVED, "type Certificate needs the member certificate: add it"),
        ("secret", {"name": "web-01-ssh"}, "secret belongs to type Secret only: remove secret, or set type: Secret"),
        ("type", "Generated", "certificate belongs to type Certificate only: remove certificate"),
        ("certificate.authorityRef", REMOVED, "spec.auth.certificate.authorityRef: Required value"),
        ("certificate.authorityRef.name", "Fleet CA", "must be the name of an object"),
        ("certificate.authorityRef.namespace", "other", 'unknown field "spec.auth.certificate.authorityRef.namespace"'),
        ("certificate.principals", [], "is empty: add an entry, or remove the field"),
        ("certificate.principals", ["deploy,root"], PRINCIPAL),
        ("certificate.principals", ["two words"], PRINCIPAL),
        ("certificate.principals", ["deploy", "deploy"], "Duplicate value"),
        ("certificate.principals", [f"role-{number}" for number in range(17)], "must have at most 16 items"),
        ("certificate.validity", "4m59s", VALIDITY),
        ("certificate.validity", "25h", VALIDITY),
        ("certificate.validity", "forever", VALIDITY),
        ("certificate.sourceAddresses", [], "is empty: add an entry, or remove the field"),
        ("certificate.sourceAddresses", ["10.0.0.1"], NETWORK),
        ("certificate.sourceAddresses", ["10.0.0.1/8"], NETWORK),
        ("certificate.sourceAddresses", ["*.example.com"], NETWORK),
        ("certificate.extensions", ["permit-pty"], 'unknown field "spec.auth.certificate.extensions"'),
    ],
)
def test_a_bad_certificate_is_refused_with_what_to_change(
    kube: Kube, host: Object, field: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(kube, changed(host, f"spec.auth.{field}", value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("principals", ["deploy", "role:web@prod", "web-servers"]),
        ("validity", "5m"),
        ("validity", "24h"),
        ("sourceAddresses", ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]),
    ],
)
def test_a_good_certificate_is_admitted(kube: Kube, host: Object, field: str, value: Any) -> None:
    kept = admitted(kube, changed(host, f"spec.auth.certificate.{field}", value))
    assert kept["spec"]["auth"]["certificate"][field] == value


def test_a_certificate_shows_its_defaults(kube: Kube, host: Object) -> None:
    assert admitted(kube, host)["spec"]["auth"]["certificate"] == {
        "authorityRef": {"name": "fleet-ca"},
        "validity": "1h",
    }
