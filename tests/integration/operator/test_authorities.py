"""Certificate authorities: their keys, the certificates of hosts, and what is revoked."""

import base64
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fairlead_api.auth import KeyAlgorithm
from fairlead_operator.credentials.certificates import CertificateFacts, facts
from fairlead_operator.credentials.keys import generate_key_pair
from tests.integration.operator.manifests import authority, certificate_auth, host, secret
from tests.integration.operator.running import Cluster, RunningOperator, until

StartOperator = Callable[..., RunningOperator]
SOON = 5.0
"""Seconds within which what was revoked has to be in the list."""


class Fleet:
    """An authority, and the hosts that it makes certificates for."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self._directory = directory

    def status(self) -> dict[str, Any]:
        found = self.cluster.get("sshca", "fleet") or {}
        status: dict[str, Any] = found.get("status") or {}
        return status

    def until(self, ready: str, reason: str) -> None:
        until(lambda: self.cluster.condition("sshca", "fleet", "Ready") == (ready, reason), f"it is {reason}")

    def message(self) -> str:
        return str(self.status()["conditions"][0]["message"])

    def trusted(self) -> list[str]:
        return str(self.status().get("trustedUserCAKeys", "")).splitlines()

    def fingerprints(self) -> dict[str, str]:
        return {key["state"]: key["fingerprint"] for key in self.status().get("authorities", [])}

    def key_secret(self) -> dict[str, str]:
        found = self.cluster.found("secret", "sshca-fleet.key")
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def text(self, name: str, key: str = "ssh-certificate") -> str:
        found = self.cluster.get("secret", f"rh-{name}.certificate") or {}
        return base64.b64decode((found.get("data") or {}).get(key, "")).decode()

    def certificate(self, name: str) -> CertificateFacts:
        """What a host's certificate says, once there is one."""
        until(lambda: self.text(name), f"{name} has a certificate")
        return facts(self.text(name))

    def serials(self) -> set[int]:
        return {some["serial"] for some in self.status().get("certificates", [])}

    def krl(self) -> bytes:
        found = self.cluster.get("configmap", "sshca-fleet-krl") or {}
        return base64.b64decode((found.get("binaryData") or {}).get("krl", ""))

    def refuses(self, certificate: str) -> bool:
        """What OpenSSH finds in the list that is published."""
        (self._directory / "krl").write_bytes(self.krl())
        (self._directory / "id-cert.pub").write_text(certificate + "\n")
        command = ["ssh-keygen", "-Q", "-f", str(self._directory / "krl"), str(self._directory / "id-cert.pub")]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert asked.returncode in (0, 1), asked.stderr
        return asked.returncode == 1

    def annotate(self, **annotations: str) -> None:
        pairs = [f"fairlead.dev/{name.replace('_', '-')}={value}" for name, value in annotations.items()]
        self.cluster.plane.kubectl("annotate", "sshca", "fleet", "-n", self.cluster.namespace, "--overwrite", *pairs)

    def add(self, *names: str, **spec: Any) -> None:
        """Create hosts, and wait for their certificates."""
        hosts = [host(self.cluster.namespace, name, auth=certificate_auth(), **spec) for name in names]
        self.cluster.plane.apply(*hosts)
        wanted = {self.certificate(name).serial for name in names}
        until(lambda: wanted <= self.serials(), f"the status lists those of {', '.join(names)}")


@pytest.fixture
def fleet(cluster: Cluster, tmp_path: Path) -> Fleet:
    return Fleet(cluster, tmp_path)


def test_a_generated_authority_says_whom_hosts_have_to_trust(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("True", "Ready")
    (line,) = fleet.trusted()
    assert line.startswith("ssh-ed25519 AAAA")
    assert line.endswith(f" fairlead:{fleet.cluster.namespace}/fleet")
    assert set(fleet.fingerprints()) == {"Active"}
    found = fleet.cluster.found("secret", "sshca-fleet.key")
    assert "ownerReferences" not in found["metadata"]
    private = fleet.key_secret()["ssh-privatekey"]
    assert private.splitlines()[1] not in operator.log.read_text() + json.dumps(fleet.cluster.found("sshca", "fleet"))
    assert fleet.status()["keyRevocationList"] == {"configMapName": "sshca-fleet-krl"}
    assert fleet.status()["certificateCount"] == fleet.status()["revokedSerialCount"] == 0
    assert fleet.krl().startswith(b"SSHKRL\n\0")


def test_hosts_get_certificates_and_the_authority_lists_them(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01", "web-02")
    one, other = fleet.certificate("web-01"), fleet.certificate("web-02")
    assert one.authority == other.authority == fleet.fingerprints()["Active"]
    assert one.serial != other.serial
    assert one.principals == ("deploy",)
    assert one.extensions == frozenset()
    listed = {some["serial"]: some for some in fleet.status()["certificates"]}
    assert listed[one.serial]["host"] == "web-01"
    assert listed[one.serial]["expirationTime"] == one.valid_before.isoformat().replace("+00:00", "Z")
    assert fleet.status()["certificateCount"] == len(listed)
    assert not fleet.refuses(fleet.text("web-01"))


def test_the_certificates_of_a_deleted_host_are_revoked_at_once(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01", "web-02")
    gone, stays = fleet.text("web-01"), fleet.text("web-02")
    fleet.cluster.delete("remotehost", "web-01")
    until(lambda: fleet.refuses(gone), "its certificate is in the list", seconds=SOON)
    assert not fleet.refuses(stays)
    until(lambda: facts(gone).serial in fleet.status()["revokedSerials"], "the status says so")
    assert facts(gone).serial not in fleet.serials()


def test_the_certificates_of_a_suspended_host_are_revoked_and_stay_so(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01")
    before = fleet.text("web-01")
    fleet.cluster.plane.apply(host(fleet.cluster.namespace, auth=certificate_auth(), suspended=True))
    until(lambda: fleet.refuses(before), "its certificate is in the list", seconds=SOON)
    fleet.cluster.plane.apply(host(fleet.cluster.namespace, auth=certificate_auth(), suspended=False))
    until(lambda: fleet.text("web-01") not in {"", before}, "it gets another one")
    until(lambda: fleet.certificate("web-01").serial in fleet.serials(), "which is in force")
    assert fleet.refuses(before)
    assert not fleet.refuses(fleet.text("web-01"))


def test_a_host_that_is_given_new_credentials_loses_the_former_ones(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01")
    before = fleet.text("web-01")
    fleet.cluster.plane.kubectl(
        "annotate", "remotehost", "web-01", "-n", fleet.cluster.namespace, "fairlead.dev/rotate=now"
    )
    until(lambda: fleet.text("web-01") not in {"", before}, "it gets another certificate")
    until(lambda: fleet.refuses(before), "the former one is in the list", seconds=SOON)
    assert not fleet.refuses(fleet.text("web-01"))


@pytest.mark.parametrize("restarts", [False, True], ids=["seen by one operator", "across a restart"])
def test_a_host_that_had_another_authority_before_loses_that_ones_certificates_too(
    fleet: Fleet, start_operator: StartOperator, restarts: bool
) -> None:
    operator = start_operator()
    operator.until_working()
    namespace = fleet.cluster.namespace
    fleet.cluster.plane.apply(authority(namespace), authority(namespace, "other"))
    fleet.add("web-01")
    before = fleet.text("web-01")
    fleet.cluster.plane.apply(host(namespace, auth=certificate_auth("other")))
    until(lambda: fleet.text("web-01") not in {"", before}, "the other authority signs")
    assert not fleet.refuses(before), "a login may still use it"
    if restarts:
        operator.stop()
        start_operator().until_working()
        until(lambda: fleet.cluster.reason("rh", "web-01"), "the host was looked at")
    fleet.cluster.delete("remotehost", "web-01")
    until(lambda: fleet.refuses(before), "the first authority's list has its certificate", seconds=SOON)


def test_what_was_in_a_secret_that_somebody_deletes_is_revoked(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01")
    before = fleet.text("web-01")
    fleet.cluster.delete("secret", "rh-web-01.certificate")
    until(lambda: fleet.text("web-01") not in {"", before}, "there is another certificate")
    until(lambda: fleet.refuses(before), "the former one is in the list", seconds=SOON)
    assert not fleet.refuses(fleet.text("web-01"))


def test_a_serial_that_a_person_revokes_is_replaced(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01")
    before = fleet.text("web-01")
    serial = facts(before).serial
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace, revokedSerials=[serial, 7]))
    until(lambda: fleet.refuses(before), "its certificate is in the list", seconds=SOON)
    until(lambda: fleet.status()["revokedSerials"] == [7, serial], "the status says so")
    until(lambda: fleet.text("web-01") not in {"", before}, "the host gets another one")
    until(lambda: fleet.serials() == {fleet.certificate("web-01").serial}, "which alone is in force")


def test_what_is_revoked_stays_so_without_an_operator_and_without_its_memory(
    fleet: Fleet, start_operator: StartOperator
) -> None:
    operator = start_operator()
    operator.until_working()
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01", "web-02", "web-03")
    first, second, third = (fleet.text(name) for name in ("web-01", "web-02", "web-03"))
    fleet.cluster.delete("remotehost", "web-01")
    until(lambda: fleet.refuses(first), "the first is in the list")
    operator.stop()
    fleet.cluster.delete("remotehost", "web-02")
    until(lambda: not fleet.cluster.get("secret", "rh-web-02.certificate"), "its Secret is gone")
    start_operator().until_working()
    until(lambda: fleet.refuses(second), "what nobody holds any more is in the list", seconds=SOON)
    assert fleet.refuses(first)
    assert not fleet.refuses(third)
    assert fleet.text("web-03") == third, "a restart renews nothing"


def test_a_list_that_somebody_deletes_or_spoils_is_restored(fleet: Fleet, start_operator: StartOperator) -> None:
    operator = start_operator()
    operator.until_working()
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01", "web-02")
    revoked, good = fleet.text("web-01"), fleet.text("web-02")
    fleet.cluster.delete("remotehost", "web-01")
    until(lambda: facts(revoked).serial in fleet.status().get("revokedSerials", []), "the status says so")
    fleet.cluster.delete("configmap", "sshca-fleet-krl")
    until(lambda: fleet.krl() and fleet.refuses(revoked), "the list is there again")
    spoilt = {"binaryData": {"krl": ""}, "data": {"certificates.json": "{}"}}
    fleet.cluster.plane.kubectl(
        "patch", "configmap", "sshca-fleet-krl", "-n", fleet.cluster.namespace, "--type=merge", "-p", json.dumps(spoilt)
    )
    until(lambda: fleet.krl() and fleet.refuses(revoked), "its content is back")
    # Whatever happens to it while nobody looks: the status tells as well.
    operator.stop()
    fleet.cluster.delete("configmap", "sshca-fleet-krl")
    fleet.cluster.delete("remotehost", "web-02")
    start_operator().until_working()
    until(lambda: fleet.krl() and fleet.refuses(revoked), "the list is made anew")
    until(lambda: fleet.refuses(good), "with what was deleted meanwhile")


def test_a_foreign_secret_is_not_used(fleet: Fleet, operator: RunningOperator) -> None:
    theirs = generate_key_pair(KeyAlgorithm.ED25519, "theirs").private
    fleet.cluster.plane.apply(secret(fleet.cluster.namespace, "sshca-fleet.key", **{"ssh-privatekey": theirs}))
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("False", "NameConflict")
    assert fleet.key_secret() == {"ssh-privatekey": theirs}
    assert not fleet.trusted()


def test_an_authority_deleted_by_mistake_comes_back_with_its_key_and_what_is_revoked(
    fleet: Fleet, operator: RunningOperator
) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01", "web-02")
    trusted, revoked, good = fleet.trusted(), fleet.text("web-01"), fleet.text("web-02")
    fleet.cluster.delete("remotehost", "web-01")
    until(lambda: fleet.refuses(revoked), "its certificate is in the list")
    fleet.cluster.delete("sshca", "fleet")
    until(
        lambda: fleet.cluster.condition("remotehost", "web-02", "CredentialsReady") == ("False", "AuthorityNotFound"),
        "the host says what it lacks",
    )
    assert fleet.text("web-02") == good, "what it has lasts"
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("True", "Ready")
    until(
        lambda: fleet.cluster.condition("remotehost", "web-02", "CredentialsReady") == ("True", "CertificateIssued"),
        "the host lacks nothing",
    )
    assert fleet.trusted() == trusted
    assert fleet.refuses(revoked)
    assert fleet.text("web-02") == good
    until(lambda: facts(good).serial in fleet.serials(), "its certificate is in force")


def test_a_lost_key_is_not_replaced_behind_the_hosts_back(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01")
    saved, good = fleet.cluster.found("secret", "sshca-fleet.key"), fleet.text("web-01")
    fleet.cluster.delete("secret", "sshca-fleet.key")
    fleet.until("False", "KeyLost")
    assert len(fleet.trusted()) == 1, "what hosts trust is still shown"
    assert fleet.text("web-01") == good
    saved["metadata"] = {key: saved["metadata"][key] for key in ("name", "namespace", "labels")}
    fleet.cluster.plane.apply(saved)
    fleet.until("True", "Ready")
    assert fleet.text("web-01") == good


def test_no_pod_gets_the_key_of_an_authority(fleet: Fleet, operator: RunningOperator) -> None:
    namespace = fleet.cluster.namespace
    key = generate_key_pair(KeyAlgorithm.ED25519, "").private
    _users(fleet, **{"ssh-privatekey": key})
    own = authority(namespace, "own", type="Secret", secret={"name": "my-ca"})
    fleet.cluster.plane.apply(own)
    until(lambda: fleet.cluster.reason("sshca", "own") == "Ready", "the authority is ready")
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "sshca-fleet.key", "key": "ssh-privatekey"}}}
    fleet.cluster.plane.apply(
        host(namespace, "by-login", auth={"type": "Secret", "secret": {"name": "my-ca"}}),
        # Before the authority is there, whose key it would get then.
        host(namespace, "by-variable", environment={"variables": [variable]}),
    )
    fleet.cluster.plane.apply(authority(namespace))
    fleet.until("True", "Ready")
    for name in ("by-login", "by-variable"):
        until(partial(_refused, fleet, name), f"{name} is refused")
        assert not fleet.cluster.get("deployment", f"rh-{name}")


# Rotation


def test_a_rotation_keeps_both_keys_until_it_is_completed(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.add("web-01")
    before, former = fleet.fingerprints()["Active"], fleet.text("web-01")
    fleet.annotate(complete_rotation="of an earlier time")
    fleet.annotate(rotate="now")
    until(lambda: len(fleet.trusted()) == 2, "both keys are to be trusted")
    fleet.until("True", "Rotating")
    assert "web-01" in fleet.message()
    keys = fleet.fingerprints()
    assert keys["Active"] == before
    until(lambda: fleet.text("web-01", "next-ssh-certificate"), "the host has a second certificate")
    second = facts(fleet.text("web-01", "next-ssh-certificate"))
    assert second.authority == keys["Next"]
    assert facts(fleet.text("web-01")).authority == before
    until(lambda: second.serial in fleet.serials(), "the status lists both")
    assert not fleet.refuses(former)
    fleet.annotate(complete_rotation="now")
    fleet.until("True", "Ready")
    assert fleet.fingerprints() == {"Active": keys["Next"]}
    assert len(fleet.trusted()) == 1
    until(lambda: fleet.certificate("web-01") == second, "the second certificate is the only one")
    until(lambda: fleet.refuses(former), "all that the former key signed is refused")
    assert not fleet.refuses(fleet.text("web-01"))
    assert "next-ssh-privatekey" not in fleet.key_secret()


def test_a_rotation_that_concerns_no_host_is_done_at_once(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("True", "Ready")
    before = fleet.fingerprints()["Active"]
    fleet.annotate(rotate="now")
    until(lambda: fleet.fingerprints().get("Active") != before, "another key signs")
    fleet.until("True", "Ready")


def test_a_request_is_met_once_even_across_restarts(fleet: Fleet, start_operator: StartOperator) -> None:
    operator = start_operator()
    operator.until_working()
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("True", "Ready")
    before = fleet.fingerprints()
    operator.stop()
    fleet.annotate(rotate="now")
    again = start_operator()
    again.until_working()
    until(lambda: fleet.fingerprints() != before, "another key signs")
    after = fleet.fingerprints()
    again.stop()
    third = start_operator()
    third.until_working()
    until(lambda: third.metric("fairlead_reconciles_total") >= 1, "the authority was looked at")
    assert fleet.fingerprints() == after


# A user's own key


def _refused(fleet: Fleet, name: str) -> bool:
    return fleet.cluster.reason("rh", name) == "InvalidSpec"


def _users(fleet: Fleet, **data: str) -> None:
    fleet.cluster.plane.apply(secret(fleet.cluster.namespace, "my-ca", **data))


def _encrypted(tmp_path: Path, passphrase: str) -> tuple[str, str]:
    path = tmp_path / f"ca-{passphrase}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", passphrase, "-C", "my ca", "-f", path], check=True)
    return path.read_text(), path.with_suffix(".pub").read_text().split()[1]


def test_a_users_own_key_is_used_and_never_written(fleet: Fleet, operator: RunningOperator, tmp_path: Path) -> None:
    own = authority(fleet.cluster.namespace, type="Secret", secret={"name": "my-ca"})
    fleet.cluster.plane.apply(own)
    fleet.until("False", "SecretNotFound")
    private, public = _encrypted(tmp_path, "correct horse")
    _users(fleet, **{"ssh-privatekey": private})
    fleet.until("False", "KeyInvalid")
    message = fleet.status()["conditions"][0]["message"]
    assert "is encrypted, and its passphrase is not there. Mend it; passphrase holds" in message
    _users(fleet, **{"ssh-privatekey": private, "passphrase": "battery staple"})
    until(lambda: "with this passphrase" in fleet.status()["conditions"][0]["message"], "the passphrase is wrong")
    fleet.until("False", "KeyInvalid")
    assert "battery" not in json.dumps(fleet.status())
    _users(fleet, **{"ssh-privatekey": private, "passphrase": "correct horse\n"})
    version = fleet.cluster.found("secret", "my-ca")["metadata"]["resourceVersion"]
    fleet.until("True", "Ready")
    assert fleet.trusted()[0].split()[:2] == ["ecdsa-sha2-nistp256", public]
    fleet.add("web-01")
    assert fleet.cluster.found("secret", "my-ca")["metadata"]["resourceVersion"] == version


def test_an_own_key_may_give_way_to_a_generated_one_and_that_to_another(
    fleet: Fleet, operator: RunningOperator
) -> None:
    _users(fleet, **{"ssh-privatekey": generate_key_pair(KeyAlgorithm.ED25519, "").private})
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace, type="Secret", secret={"name": "my-ca"}))
    fleet.add("web-01")
    own = fleet.fingerprints()["Active"]
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    until(lambda: fleet.fingerprints().get("Active") != own, "a generated key signs")
    fleet.until("True", "Ready")
    until(lambda: facts(fleet.text("web-01")).authority == fleet.fingerprints()["Active"], "the host follows")
    # Rid of it for good.
    made = fleet.fingerprints()["Active"]
    fleet.cluster.delete("sshca", "fleet")
    fleet.cluster.delete("secret", "sshca-fleet.key")
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("True", "Ready")
    assert fleet.fingerprints()["Active"] not in {own, made}


def test_a_key_restored_from_a_backup_signs_what_is_good(fleet: Fleet, operator: RunningOperator) -> None:
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace))
    fleet.until("True", "Ready")
    saved, first = fleet.cluster.found("secret", "sshca-fleet.key"), fleet.fingerprints()
    fleet.annotate(rotate="now")
    until(lambda: fleet.fingerprints() != first and "Next" not in fleet.fingerprints(), "another key signs")
    fleet.cluster.delete("secret", "sshca-fleet.key")
    fleet.until("False", "KeyLost")
    # The request would be news to the restored Secret.
    fleet.cluster.plane.kubectl("annotate", "sshca", "fleet", "-n", fleet.cluster.namespace, "fairlead.dev/rotate-")
    saved["metadata"] = {key: saved["metadata"][key] for key in ("name", "namespace", "labels")}
    fleet.cluster.plane.apply(saved)
    until(lambda: fleet.fingerprints() == first, "the former key is back")
    fleet.add("web-01")
    assert not fleet.refuses(fleet.text("web-01"))


def test_a_user_rotates_an_own_key_with_a_second_one(fleet: Fleet, operator: RunningOperator) -> None:
    old, new = (generate_key_pair(KeyAlgorithm.ED25519, "").private for _ in range(2))
    _users(fleet, **{"ssh-privatekey": old})
    fleet.cluster.plane.apply(authority(fleet.cluster.namespace, type="Secret", secret={"name": "my-ca"}))
    fleet.add("web-01")
    former = fleet.text("web-01")
    _users(fleet, **{"ssh-privatekey": old, "next-ssh-privatekey": "nonsense"})
    fleet.until("False", "KeyInvalid")
    assert fleet.text("web-01") == former
    _users(fleet, **{"ssh-privatekey": old, "next-ssh-privatekey": new})
    fleet.until("True", "Rotating")
    until(lambda: fleet.text("web-01", "next-ssh-certificate"), "the host has a second certificate")
    second = fleet.text("web-01", "next-ssh-certificate")
    fleet.cluster.plane.kubectl(
        "patch", "secret", "my-ca", "-n", fleet.cluster.namespace, "--type=merge", "-p",
        json.dumps({"data": {"next-ssh-privatekey": None, "ssh-privatekey": base64.b64encode(new.encode()).decode()}}),
    )  # fmt: skip
    fleet.until("True", "Ready")
    until(lambda: fleet.text("web-01") == second, "the second certificate is the only one")
    assert not fleet.refuses(former), "the user's former key may serve others"
