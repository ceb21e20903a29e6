"""Hosts' certificates on a real API server: issued to the pod, renewed, rotated, revoked."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncssh
import pytest

from fairlead_operator.credentials.certificates import CertificateFacts, facts
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until
from tests.integration.operator.told import StatusPage, serving

AUTH = {"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet"}}}


def authority(namespace: str, name: str = "fleet") -> dict[str, Any]:
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "SSHCertificateAuthority",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "Generated"},
    }


class Fleet:
    """Short ways to look at hosts and their authority."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def add(self, name: str = "web-01", **spec: Any) -> None:
        self.cluster.plane.apply(host(self.cluster.namespace, name, **{"auth": AUTH, **spec}))

    def content(self, name: str = "web-01") -> dict[str, str]:
        return self.cluster.secret_data(f"rh-{name}.certificate")

    def certificate(self, name: str = "web-01", prefix: str = "") -> CertificateFacts | None:
        text = self.content(name).get(f"{prefix}ssh-certificate")
        return facts(text) if text else None

    def serial(self, name: str = "web-01") -> int:
        found = self.certificate(name)
        return found.serial if found else 0

    def until_issued(self, name: str = "web-01", *, after: int = 0) -> CertificateFacts:
        """The certificate that came after another one."""
        until(lambda: self.serial(name) not in (0, after), f"{name} has a certificate")
        found = self.certificate(name)
        assert found is not None
        return found

    def pod(self, name: str = "web-01") -> str:
        """UID of the newest pod that is not on its way out."""
        command = ("get", "pods", "-n", self.cluster.namespace, "-l", f"fairlead.dev/host={name}", "-o", "json")
        pods = [some["metadata"] for some in json.loads(self.cluster.plane.kubectl(*command))["items"]]
        return str(max((some for some in pods), key=lambda some: some["creationTimestamp"])["uid"]) if pods else ""

    def reason(self, name: str = "web-01") -> str:
        return self.cluster.condition("rh", name, "CredentialsReady")[1]

    def authority(self) -> dict[str, Any]:
        return self.cluster.status("sshca", "fleet")

    @property
    def revoked(self) -> list[int]:
        return list(self.authority().get("revokedSerials") or ())

    @property
    def keys(self) -> dict[str, str]:
        """State -> fingerprint of the authority's keys."""
        return {key["state"]: key["fingerprint"] for key in self.authority().get("authorities") or ()}


@pytest.fixture
def fleet(cluster: Cluster) -> Fleet:
    cluster.plane.apply(authority(cluster.namespace))
    return Fleet(cluster)


def test_a_certificate_is_made_out_to_the_pod_and_permits_no_more_than_is_needed(
    fleet: Fleet, operator: RunningOperator
) -> None:
    fleet.add()
    found = fleet.until_issued()
    until(lambda: fleet.reason() == "CertificateIssued", "the condition says so")
    assert found.key_id == f"{fleet.cluster.namespace}/web-01/{fleet.pod()}"
    assert found.principals == ("deploy",)
    assert found.valid_before - found.valid_after == timedelta(hours=1, minutes=5)
    assert found.extensions == frozenset()
    assert found.source_addresses == ()
    content = fleet.content()
    key = asyncssh.import_private_key(content["ssh-privatekey"])
    assert key.get_fingerprint() == found.key
    until(lambda: fleet.authority().get("certificateCount") == 1, "the authority knows of it")
    (listed,) = fleet.authority()["certificates"]
    assert (listed["serial"], listed["host"]) == (found.serial, "web-01")
    owners = fleet.cluster.found("secret", "rh-web-01.certificate")["metadata"]["ownerReferences"]
    assert [owner["kind"] for owner in owners] == ["RemoteHost"]
    assert content["ssh-privatekey"] not in operator.log.read_text()


def test_what_the_spec_asks_for_is_in_the_certificate(fleet: Fleet, operator: RunningOperator) -> None:
    details = {"principals": ["web", "deploy"], "validity": "30m", "sourceAddresses": ["10.1.0.0/16"]}
    fleet.add(auth={"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet"}, **details}})
    found = fleet.until_issued()
    assert set(found.principals) == {"deploy", "web"}
    assert found.valid_before - found.valid_after == timedelta(minutes=35)
    assert found.source_addresses == ("10.1.0.0/16",)
    before = (fleet.cluster.configuration() or {})["credentials_version"]
    fleet.add()
    renewed = fleet.until_issued(after=found.serial)
    assert renewed.principals == ("deploy",)
    assert renewed.key != found.key, "each certificate has a key of its own"
    until(lambda: (fleet.cluster.configuration() or {})["credentials_version"] != before, "the pod is told")


def test_a_restart_renews_nothing_and_a_new_pod_gets_a_certificate_of_its_own(
    fleet: Fleet, start_operator: StartOperator
) -> None:
    operator = start_operator()
    operator.until_working()
    fleet.add()
    fleet.until_issued()
    until(lambda: fleet.authority().get("certificateCount") == 1, "the authority knows of it")
    operator.stop()
    before, applied = fleet.content(), fleet.authority()
    operator = start_operator()
    operator.until_working()
    until(lambda: operator.metric("fairlead_reconciles_total") >= 2, "all was looked at")
    assert fleet.content() == before
    assert fleet.authority() == applied
    first, pod = fleet.serial(), fleet.pod()
    fleet.cluster.plane.kubectl(
        "delete", "pod", "-n", fleet.cluster.namespace, "-l", "fairlead.dev/host=web-01", "--force", "--grace-period=0"
    )
    until(lambda: fleet.pod() not in ("", pod), "another pod")
    found = fleet.until_issued(after=first)
    assert found.key_id.endswith(f"/{fleet.pod()}")
    assert not fleet.revoked


def test_a_missing_authority_is_named_and_its_appearance_heals(cluster: Cluster, operator: RunningOperator) -> None:
    fleet = Fleet(cluster)
    fleet.add()
    until(lambda: fleet.reason() == "AuthorityNotFound", "the missing authority is reported")
    cluster.plane.apply(authority(cluster.namespace))
    fleet.until_issued()
    until(lambda: fleet.reason() == "CertificateIssued", "all is well")
    held = fleet.content()
    cluster.delete("sshca", "fleet")
    until(lambda: fleet.reason() == "AuthorityNotFound", "the missing authority is reported again")
    assert fleet.content() == held, "what there is goes on"
    message = next(
        some["message"] for some in cluster.status("rh", "web-01")["conditions"] if some["type"] == "CredentialsReady"
    )
    assert "is good until 20" in message
    until(lambda: any(reason == "AuthorityNotFound" for reason, _ in cluster.events("web-01")), "an Event tells of it")


def test_a_request_for_new_credentials_renews_at_once_and_revokes_the_former(
    fleet: Fleet, operator: RunningOperator
) -> None:
    fleet.add()
    first = fleet.until_issued()
    fleet.cluster.annotate("rh", "web-01", "fairlead.dev/rotate=monday")
    second = fleet.until_issued(after=first.serial)
    until(lambda: fleet.revoked == [first.serial], "the former serial is revoked")
    assert second.authority == first.authority
    assert [some["serial"] for some in json.loads(fleet.content()["issued"])] == [second.serial]


def test_a_suspended_host_holds_nothing_and_a_deleted_ones_certificate_is_revoked(
    fleet: Fleet, operator: RunningOperator
) -> None:
    fleet.add()
    fleet.add("web-02")
    first, other = fleet.until_issued(), fleet.until_issued("web-02")
    fleet.add(suspended=True)
    until(lambda: fleet.serial() == 0, "nothing is left in the Secret")
    assert "ssh-privatekey" not in fleet.content()
    until(lambda: first.serial in fleet.revoked, "it is revoked")
    fleet.cluster.delete("rh", "web-02")
    until(lambda: set(fleet.revoked) == {first.serial, other.serial}, "the other one's, too")
    fleet.add(suspended=False)
    assert fleet.until_issued().serial not in (first.serial, other.serial)


def test_credentials_of_another_type_leave_no_certificate_behind(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.add()
    first = fleet.until_issued()
    fleet.cluster.plane.apply(host(fleet.cluster.namespace, auth={"type": "Generated"}))
    until(lambda: not fleet.content(), "the Secret is empty")
    until(lambda: first.serial in fleet.revoked, "it is revoked")
    until(lambda: fleet.reason() == "KeyGenerated", "there is a key instead")


def test_a_host_that_others_pass_through_may_forward_and_needs_no_pod(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.add("bastion", suspended=True)
    until(lambda: fleet.reason("bastion"), "the host has a status")
    assert fleet.serial("bastion") == 0
    fleet.add("inner", jumpHosts=[{"hostRef": {"name": "bastion"}}])
    found = fleet.until_issued("bastion")
    assert found.extensions == {"permit-port-forwarding"}
    assert found.key_id == f"{fleet.cluster.namespace}/bastion/-"
    inner = fleet.until_issued("inner")
    assert inner.extensions == frozenset()
    volumes = fleet.cluster.found("deployment", "rh-inner")["spec"]["template"]["spec"]["volumes"]
    assert "rh-bastion.certificate" in json.dumps(volumes)
    before = (fleet.cluster.configuration("inner") or {})["credentials_version"]
    fleet.cluster.annotate("rh", "bastion", "fairlead.dev/rotate=monday")
    fleet.until_issued("bastion", after=found.serial)
    until(
        lambda: (fleet.cluster.configuration("inner") or {})["credentials_version"] != before,
        "the pod behind it is told of its new certificate",
    )
    fleet.cluster.delete("rh", "inner")
    until(lambda: fleet.serial("bastion") == 0, "nobody needs it any more")


@pytest.fixture
def page(cluster: Cluster) -> StatusPage:
    return StatusPage(cluster)


@pytest.fixture
def watching(start_operator: StartOperator, page: StatusPage) -> Iterator[RunningOperator]:
    with serving(page) as url:
        operator = start_operator(FAIRLEAD_SIDECAR_URL_TEMPLATE=url)
        operator.until_working()
        yield operator


def test_an_authority_is_replaced_once_every_host_has_accepted_the_next_one(
    fleet: Fleet, page: StatusPage, watching: RunningOperator
) -> None:
    fleet.add()
    first = fleet.until_issued()
    page.link["login_key_fingerprint"] = first.key
    active = first.authority
    fleet.cluster.annotate("sshca", "fleet", "fairlead.dev/rotate=monday")
    until(lambda: fleet.certificate(prefix="next-") is not None, "a second certificate")
    following = fleet.certificate(prefix="next-")
    assert following is not None
    assert fleet.keys == {"Active": active, "Next": following.authority}
    assert fleet.serial() == first.serial, "the first one is kept"
    assert len(fleet.authority()["trustedUserCAKeys"].splitlines()) == 2
    held = fleet.content()

    page.link["login_key_fingerprint"] = following.key
    until(lambda: fleet.keys == {"Active": following.authority}, "the next key is the authority's only one")
    until(lambda: fleet.serial() == following.serial, "its certificate is the host's only one")
    content = fleet.content()
    assert content["ssh-privatekey"] == held["next-ssh-privatekey"], "nothing is issued anew"
    assert not [key for key in content if key.startswith("next-")]
    assert held["ssh-privatekey"] not in content.values()
    assert len(fleet.authority()["trustedUserCAKeys"].splitlines()) == 1
