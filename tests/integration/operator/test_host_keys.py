"""A host's first key is pinned, another one refused until a person has decided; on an API server, without pods."""

from collections.abc import Callable, Iterator
from typing import Any

import asyncssh
import pytest

from fairlead_sidecar.config import PinnedHostKeys, SidecarConfig, trust_digest
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until
from tests.integration.operator.told import StatusPage, serving

FIRST_USE = {"type": "TrustOnFirstUse"}
ANNOTATION = "fairlead.dev/accept-host-key"
SECRET = "rh-web-01.host-key"


def a_key() -> str:
    return str(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip())


def fingerprint(line: str) -> str:
    return str(asyncssh.import_public_key(line).get_fingerprint())


class Page(StatusPage):
    """A sidecar whose host presents `key`; it judges that as a real one does."""

    def __init__(self, cluster: Cluster, host: str = "web-01") -> None:
        super().__init__(cluster, host)
        self.key = a_key()
        self.refusal: dict[str, Any] | None = None

    def restart(self) -> None:
        """A new pod, which knows nothing but its configuration."""
        self.refusal = None

    def __call__(self) -> dict[str, Any]:
        if rendered := self._cluster.rendered(self._host):
            self._judge(SidecarConfig.parse(rendered.encode()))
        return super().__call__()

    def _judge(self, config: SidecarConfig) -> None:
        trust = trust_digest(config)
        if self.refusal is None and config.host_key_refusal is not None and config.host_key_refusal.trust == trust:
            self.refusal = config.host_key_refusal.model_dump()
        if self.refusal is not None and self.refusal["trust"] != trust:
            self.refusal = None
        seen = {"host_key": self.key, "host_key_fingerprint": fingerprint(self.key), "host_key_refusal": None}
        if self.refusal is not None:
            self._failed("HostKeyMismatch", **seen | {"host_key_refusal": self.refusal})
        elif not isinstance(config.host_key, PinnedHostKeys):
            self._failed("HostKeyNotPinned", **seen)
        elif self.key in config.host_key.public_keys:
            self.link |= {"state": "Connected", "reason": "Connected", "message": "Logged in.", **seen}
        else:
            expected = ", ".join(map(fingerprint, config.host_key.public_keys))
            message = f"web-01 presented {fingerprint(self.key)}, but trusted is {expected}."
            self.refusal = {"public_key": self.key, "message": message, "trust": trust}
            self._failed("HostKeyMismatch", **seen | {"host_key_refusal": self.refusal})

    def _failed(self, reason: str, **more: Any) -> None:
        self.link |= {"state": "Failed", "reason": reason, "message": f"It is {reason}.", **more}


@pytest.fixture
def page(cluster: Cluster) -> Page:
    return Page(cluster)


@pytest.fixture
def start(start_operator: StartOperator, page: Page) -> Iterator[Callable[[], RunningOperator]]:
    with serving(page) as url:

        def start() -> RunningOperator:
            operator = start_operator(FAIRLEAD_SIDECAR_URL_TEMPLATE=url)
            operator.until_working()
            return operator

        yield start


def trusted(cluster: Cluster, name: str = "web-01") -> tuple[str, str]:
    return cluster.condition("rh", name, "HostKeyTrusted")


def message(cluster: Cluster) -> str:
    conditions = cluster.status("rh", "web-01").get("conditions", [])
    return next((str(some["message"]) for some in conditions if some["type"] == "HostKeyTrusted"), "")


def is_refused(cluster: Cluster) -> bool:
    told = cluster.configuration() or {}
    return trusted(cluster) == ("False", "HostKeyMismatch") and told["host_key_refusal"] is not None


def is_trusted(cluster: Cluster) -> bool:
    told = cluster.configuration() or {}
    return trusted(cluster) == ("True", "HostKeyMatches") and told["host_key_refusal"] is None


def pins(cluster: Cluster, name: str = "web-01") -> list[str]:
    told = cluster.configuration(name)
    return list(told["host_key"].get("public_keys", ())) if told else []


def secrets(cluster: Cluster) -> dict[str, str]:
    """The versions of all Secrets."""
    return {name: version for name, version in cluster.versions().items() if name.startswith("secret/")}


def told_of(cluster: Cluster, reason: str, *texts: str) -> bool:
    return any(why == reason and all(text in note for text in texts) for why, note in cluster.events("web-01"))


def test_the_first_key_is_pinned_and_no_other_is_learnt(
    cluster: Cluster, page: Page, start: Callable[[], RunningOperator]
) -> None:
    first = page.key
    operator = start()
    cluster.plane.apply(host(cluster.namespace, hostKey=FIRST_USE))
    until(lambda: is_trusted(cluster), "the key is pinned")
    assert cluster.secret_data(SECRET) == {"ssh-hostkey": first}
    assert cluster.status("rh", "web-01")["pinnedHostKey"] == first
    until(lambda: told_of(cluster, "HostKeyPinned", fingerprint(first)), "people are told")
    owner = cluster.found("secret", SECRET)["metadata"]["ownerReferences"][0]
    assert owner["name"] == "web-01"
    cluster.settled()
    written = secrets(cluster)
    operator.stop()
    operator = start()
    until(lambda: operator.metric("fairlead_reconciles_total") >= 3, "everything was looked at")
    assert secrets(cluster) == written
    # Whoever takes the pin away gets the same one again, whatever the host presents by now.
    page.key = a_key()
    cluster.delete("secret", SECRET)
    until(lambda: cluster.secret_data(SECRET) == {"ssh-hostkey": first}, "the pin is there again")
    operator.stop()
    cluster.delete("secret", SECRET)
    start()
    until(lambda: cluster.secret_data(SECRET) == {"ssh-hostkey": first}, "the pin is there after a restart")
    until(lambda: is_refused(cluster), "the other key is refused")


def test_a_pin_that_is_retained_is_used_again(
    cluster: Cluster, page: Page, start: Callable[[], RunningOperator]
) -> None:
    retained = FIRST_USE | {"trustOnFirstUse": {"deletionPolicy": "Retain"}}
    start()
    cluster.plane.apply(host(cluster.namespace, hostKey=retained))
    until(lambda: is_trusted(cluster), "the key is pinned")
    assert "ownerReferences" not in cluster.found("secret", SECRET)["metadata"]
    first, page.key = page.key, a_key()
    cluster.delete("rh", "web-01")
    until(lambda: cluster.get("rh", "web-01") is None, "the host is gone")
    until(lambda: cluster.rendered() is None, "its configuration is gone")
    cluster.plane.apply(host(cluster.namespace, hostKey=retained))
    until(lambda: trusted(cluster) == ("False", "HostKeyMismatch"), "the other key is refused")
    assert pins(cluster) == [first]


def test_a_mismatch_ends_only_by_a_persons_word(
    cluster: Cluster, page: Page, start: Callable[[], RunningOperator]
) -> None:
    first = page.key
    operator = start()
    manifest = host(cluster.namespace, hostKey=FIRST_USE)
    cluster.plane.apply(manifest)
    until(lambda: is_trusted(cluster), "the key is pinned")
    second = page.key = a_key()
    until(lambda: is_refused(cluster), "the other key is refused")
    assert cluster.reason("rh", "web-01") == "HostKeyMismatch"
    until(lambda: told_of(cluster, "HostKeyMismatch", fingerprint(first), fingerprint(second)), "people are told")

    # Neither time, nor the first key, nor another change, nor new processes end it.
    page.key = first
    manifest["spec"]["description"] = "The front."
    cluster.plane.apply(manifest)
    until(lambda: (cluster.configuration() or {})["description"] == "The front.", "the change has arrived")
    assert is_refused(cluster)
    operator.stop()
    page.restart()
    start()
    until(lambda: page.refusal is not None, "the new pod has obeyed")
    assert is_refused(cluster)

    cluster.annotate("rh", "web-01", f"{ANNOTATION}={fingerprint(a_key())}")
    until(lambda: "does not help" in message(cluster), "what is no decision is said to be none")
    assert is_refused(cluster)

    page.key = second
    cluster.annotate("rh", "web-01", f"{ANNOTATION}={fingerprint(second)}")
    until(lambda: is_trusted(cluster), "the new key is accepted")
    assert cluster.secret_data(SECRET) == {"ssh-hostkey": second}
    until(lambda: told_of(cluster, "HostKeyAccepted", fingerprint(second)), "people are told")
    status = cluster.status("rh", "web-01")
    assert "refusedHostKey" not in status
    assert status["acceptedHostKey"] == fingerprint(second)


def test_a_person_may_go_on_with_the_pin_once_for_each_word(
    cluster: Cluster, page: Page, start: Callable[[], RunningOperator]
) -> None:
    first, second = page.key, a_key()
    start()
    cluster.plane.apply(host(cluster.namespace, hostKey={"type": "Pinned", "pinned": {"publicKeys": [first]}}))
    until(lambda: is_trusted(cluster), "the key is trusted")
    for word in (fingerprint(first), f"{fingerprint(first)} again"):
        page.key = second
        until(lambda: is_refused(cluster), "the other key is refused")
        page.key = first
        cluster.annotate("rh", "web-01", f"{ANNOTATION}={word}")
        until(lambda: is_trusted(cluster), "the former key goes on")
    page.key = second
    until(lambda: is_refused(cluster), "the other key is refused")
    page.key = first
    cluster.annotate("rh", "web-01", f"{ANNOTATION}-")
    cluster.plane.apply(host(cluster.namespace, "other", suspended=True))
    until(lambda: cluster.reason("rh", "other") == "Suspended", "the operator is busy with something else")
    assert is_refused(cluster)


def test_another_key_in_the_spec_is_a_persons_word(
    cluster: Cluster, page: Page, start: Callable[[], RunningOperator]
) -> None:
    start()
    manifest = host(cluster.namespace)
    cluster.plane.apply(manifest)
    until(lambda: is_refused(cluster), "the host's key is refused")
    manifest["spec"]["hostKey"]["pinned"]["publicKeys"].append(page.key)
    cluster.plane.apply(manifest)
    until(lambda: is_trusted(cluster), "the host's key is trusted")


def test_hosts_behind_a_jump_host_wait_for_its_key_and_follow_it(
    cluster: Cluster, page: Page, start: Callable[[], RunningOperator]
) -> None:
    start()
    inner = host(cluster.namespace, "inner", jumpHosts=[{"hostRef": {"name": "web-01"}}])
    cluster.plane.apply(host(cluster.namespace, hostKey=FIRST_USE, suspended=True), inner)
    until(lambda: cluster.reason("rh", "inner") == "JumpHostKeyNotPinned", "the missing key is named")
    cluster.plane.apply(host(cluster.namespace, hostKey=FIRST_USE))

    def passed() -> list[str]:
        hops = (cluster.configuration("inner") or {"jump_hosts": []})["jump_hosts"]
        return [key for hop in hops for key in hop["host_key"]["public_keys"]]

    until(lambda: passed() == [page.key], "the key is known behind it, too")
    page.key = a_key()
    until(lambda: is_refused(cluster), "the other key is refused")
    cluster.annotate("rh", "web-01", f"{ANNOTATION}={fingerprint(page.key)}")
    until(lambda: passed() == [page.key], "the new key is known behind it, too")
