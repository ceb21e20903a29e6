"""Generated keys are replaced on request, once the host has accepted the successor."""

from collections.abc import Iterator

import asyncssh
import pytest

from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until
from tests.integration.operator.told import StatusPage, serving

SECRET = "rh-web-01.key"


def fingerprint(line: str) -> str:
    return str(asyncssh.import_public_key(line).get_fingerprint())


class Rotation:
    """A host with a generated key that its sidecar logs in with."""

    def __init__(self, cluster: Cluster, page: StatusPage) -> None:
        self.cluster = cluster
        self.page = page

    @property
    def key(self) -> str:
        return str(self.cluster.status("rh", "web-01").get("publicKey", ""))

    @property
    def following(self) -> str:
        return str(self.cluster.status("rh", "web-01").get("nextPublicKey", ""))

    @property
    def reason(self) -> str:
        return self.cluster.condition("rh", "web-01", "CredentialsReady")[1]

    def ask(self, value: str) -> None:
        self.cluster.annotate("rh", "web-01", f"fairlead.dev/rotate={value}")

    def accept(self, line: str) -> None:
        """The host lets this key in."""
        self.page.link["login_key_fingerprint"] = fingerprint(line)


@pytest.fixture
def page(cluster: Cluster) -> StatusPage:
    return StatusPage(cluster)


@pytest.fixture
def start(start_operator: StartOperator, page: StatusPage) -> Iterator[StartOperator]:
    with serving(page) as url:

        def start() -> RunningOperator:
            operator = start_operator(FAIRLEAD_SIDECAR_URL_TEMPLATE=url)
            operator.until_working()
            return operator

        yield start


@pytest.fixture
def rotation(cluster: Cluster, page: StatusPage) -> Rotation:
    some = Rotation(cluster, page)
    cluster.plane.apply(host(cluster.namespace, auth={"type": "Generated"}))
    return some


def test_a_key_is_replaced_once_the_host_has_accepted_its_successor(
    cluster: Cluster, start: StartOperator, rotation: Rotation
) -> None:
    operator = start()
    until(lambda: rotation.key, "a key is made")
    first, version = rotation.key, (cluster.configuration() or {})["credentials_version"]
    rotation.accept(first)
    rotation.ask("monday")
    until(lambda: rotation.following, "the successor is shown")
    until(lambda: rotation.reason == "KeyRotating", "the condition says what to do")
    until(lambda: (cluster.configuration() or {})["credentials_version"] != version, "the pod is told")
    second = rotation.following
    assert rotation.key == first
    assert {"ssh-privatekey", "next-ssh-privatekey"} <= cluster.secret_data(SECRET).keys()

    operator.stop()
    start()
    rotation.accept(second)
    until(lambda: rotation.key == second, "the successor is the key")
    assert not rotation.following
    until(lambda: rotation.reason == "KeyGenerated", "nothing is left to do")
    content = cluster.secret_data(SECRET)
    assert content.keys() == {"ssh-privatekey", "ssh-publickey", "rotation-request"}
    assert fingerprint(content["ssh-publickey"]) == fingerprint(second)
    assert asyncssh.import_private_key(content["ssh-privatekey"]).get_fingerprint() == fingerprint(second)
    until(
        lambda: any(reason == "KeyRotated" and first in note for reason, note in cluster.events("web-01")),
        "an Event says which key can go",
    )


def test_a_request_counts_once_and_another_one_replaces_what_was_never_accepted(
    cluster: Cluster, start: StartOperator, rotation: Rotation
) -> None:
    operator = start()
    until(lambda: rotation.key, "a key is made")
    first = rotation.key
    rotation.ask("monday")
    until(lambda: rotation.following, "the successor is shown")
    second = rotation.following
    operator.stop()
    before = cluster.secret_data(SECRET)
    start()
    until(lambda: rotation.reason == "KeyRotating", "still under way")
    assert cluster.secret_data(SECRET) == before, "a restart makes no other successor"
    cluster.annotate("rh", "web-01", "fairlead.dev/rotate-")
    rotation.ask("tuesday")
    until(lambda: rotation.following not in ("", second), "another successor")
    assert rotation.key == first
    third = rotation.following
    rotation.accept(second)
    rotation.ask("tuesday")
    assert rotation.following == third


def test_a_request_from_before_the_first_key_asks_for_nothing(
    cluster: Cluster, start: StartOperator, rotation: Rotation
) -> None:
    rotation.ask("monday")
    start()
    until(lambda: rotation.reason == "KeyGenerated", "a key is made")
    assert cluster.secret_data(SECRET)["rotation-request"] == "monday"
    assert not rotation.following


def test_what_somebody_adds_to_the_secret_or_takes_away_does_not_stay(
    cluster: Cluster, start: StartOperator, rotation: Rotation
) -> None:
    start()
    until(lambda: rotation.key, "a key is made")
    first = rotation.key
    rotation.ask("monday")
    until(lambda: rotation.following, "the successor is shown")
    gone = '{"data": {"ssh-privatekey": null}, "stringData": {"password": "x"}}'
    cluster.plane.kubectl("-n", cluster.namespace, "patch", "secret", SECRET, "--type=merge", "-p", gone)
    until(lambda: rotation.key not in ("", first), "a lost key is replaced by a new one")
    content = cluster.secret_data(SECRET)
    assert content.keys() == {"ssh-privatekey", "ssh-publickey", "rotation-request"}
