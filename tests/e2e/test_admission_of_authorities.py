"""A bad SSHCertificateAuthority is refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import REMOVED, admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object


@pytest.fixture
def authority(admission_namespace: str) -> Object:
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "SSHCertificateAuthority",
        "metadata": {"name": "fleet-ca", "namespace": admission_namespace},
        "spec": {"type": "Generated"},
    }


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("spec.type", REMOVED, "spec.type: Required value"),
        ("spec.type", "Vault", 'supported values: "Generated", "Secret"'),
        ("spec.type", "Secret", "type Secret needs the member secret: add it"),
        ("spec.secret", {"name": "my-ca"}, "secret belongs to type Secret only: remove secret, or set type: Secret"),
        ("spec.generated", {"algorithm": "DSA"}, 'supported values: "Ed25519", "RSA"'),
        ("spec.generated", {"bits": 2048}, 'unknown field "spec.generated.bits"'),
        ("spec.key", "x", 'unknown field "spec.key"'),
        ("spec.revokedSerials", [], "is empty: add an entry, or remove the field"),
        ("spec.revokedSerials", [0], "should be greater than or equal to 1"),
        ("spec.revokedSerials", [-5], "should be greater than or equal to 1"),
        ("spec.revokedSerials", ["5"], "must be of type integer"),
        ("spec.revokedSerials", [5, 5], "Duplicate value"),
        ("spec.revokedSerials", list(range(1, 1002)), "must have at most 1000 items"),
        ("metadata.name", "fleet.ca", "metadata.name must begin with a letter"),
        ("metadata.name", "a" * 51, "metadata.name must begin with a letter"),
    ],
)
def test_a_bad_authority_is_refused_with_what_to_change(
    kube: Kube, authority: Object, path: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(kube, changed(authority, path, value))


def test_a_secret_has_a_name(kube: Kube, authority: Object) -> None:
    own = changed(authority, "spec.type", "Secret")

    assert "spec.secret.name: Required value" in refusal(kube, changed(own, "spec.secret", {}))
    assert "must be the name of an object" in refusal(kube, changed(own, "spec.secret", {"name": "My_CA"}))
    for generated in ("sshca-fleet-ca.key", "sshca-other.key"):
        named = changed(own, "spec.secret", {"name": generated})
        assert "names the generated key of another SSHCertificateAuthority: use that" in refusal(kube, named)
    both = changed(changed(own, "spec.secret", {"name": "my-ca"}), "spec.generated", {})
    assert "generated belongs to type Generated only" in refusal(kube, both)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec", {"type": "Generated"}),
        ("spec.generated", {}),
        ("spec.generated", {"algorithm": "RSA"}),
        ("spec", {"type": "Secret", "secret": {"name": "my-ca"}}),
        ("spec", {"type": "Secret", "secret": {"name": "sshca-my.key2"}}),
        ("spec.revokedSerials", [1, 2**53, 2**63 - 1]),
        ("spec.revokedSerials", list(range(1, 1001))),
    ],
)
def test_a_good_authority_is_admitted(kube: Kube, authority: Object, path: str, value: Any) -> None:
    assert admitted(kube, changed(authority, path, value))["spec"]["type"] in {"Generated", "Secret"}


def test_an_authority_may_change_where_its_key_comes_from(kube: Kube, authority: Object) -> None:
    kube.apply(authority)

    admitted(kube, {**authority, "spec": {"type": "Secret", "secret": {"name": "my-ca"}}})
    admitted(kube, changed(authority, "spec.generated", {"algorithm": "RSA"}))
