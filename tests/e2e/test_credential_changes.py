"""Credentials change while agents work: no call fails, and the pod stays the one that it is."""

import pytest

from tests.e2e.support.certificates import (
    authority,
    authority_status,
    certified,
    serials,
    trust,
    trust_only_authorities,
    trusted_keys,
)
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.kube import condition
from tests.e2e.support.load import steady_calls
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import wait_until

TRIALS = 120.0
"""Seconds within which a successor that the host knows is surely tried: that is once a minute."""


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop whose token `second` is for a host `web-02` that the test adds."""
    shop.kube.apply(mcp_token(shop.namespace, "second", ["web-02"]))
    return shop


def working(shop: Shop) -> None:
    """Wait until web-02 can be called."""
    shop.wait_ready("web-02")
    shop.wait_token_ready("second")
    shop.wait_routed("web-02")


def test_a_password_is_changed_under_load(busy: Shop, own_ssh_host: SshHost) -> None:
    own_ssh_host.run(
        "sh",
        "-c",
        "sed -i 's|^PasswordAuthentication.*|PasswordAuthentication yes|' /etc/ssh/sshd_config"
        " && echo deploy:first | chpasswd && kill -HUP 1",
    )
    busy.kube.apply(
        secret(busy.namespace, "web-02-ssh", password="first"),
        remote_host(busy.namespace, "web-02", own_ssh_host.address, own_ssh_host.public_host_key),
    )
    working(busy)
    with steady_calls(busy, "web-02", "second") as load:
        own_ssh_host.run("sh", "-c", "echo deploy:second | chpasswd")
        load.until_more()
        logins = own_ssh_host.log().count("Accepted password")
        busy.kube.apply(secret(busy.namespace, "web-02-ssh", password="second"))
        wait_until(lambda: own_ssh_host.log().count("Accepted password") > logins, what="the new one logs in")


def test_a_generated_key_is_rotated_under_load(busy: Shop, own_ssh_host: SshHost) -> None:
    def status(field: str) -> str:
        return str(busy.host("web-02").get("status", {}).get(field, ""))

    def authorize(*lines: str) -> None:
        text = "\n".join(lines)
        own_ssh_host.run("sh", "-c", f"mkdir -p ~deploy/.ssh && echo '{text}' > ~deploy/.ssh/authorized_keys")

    auth = {"type": "Generated"}
    busy.kube.apply(
        remote_host(busy.namespace, "web-02", own_ssh_host.address, own_ssh_host.public_host_key, auth=auth)
    )
    first = wait_until(lambda: status("publicKey"), what="status.publicKey")
    authorize(first)
    working(busy)
    with steady_calls(busy, "web-02", "second") as load:
        busy.kube.run("annotate", "rh", "web-02", "-n", busy.namespace, "fairlead.dev/rotate=monday")
        second = wait_until(lambda: status("nextPublicKey"), what="status.nextPublicKey")
        load.until_more()
        authorize(first, second)
        wait_until(lambda: status("publicKey") == second, timeout=TRIALS, what="the host has accepted the new key")
        authorize(second)
        load.until_more()
    assert not status("nextPublicKey")
    assert condition(busy.host("web-02"), "CredentialsReady")["reason"] == "KeyGenerated"

    def told() -> bool:
        events = busy.kube.list("events.events.k8s.io", busy.namespace)
        return any(event["reason"] == "KeyRotated" and first in event["note"] for event in events)

    wait_until(told, what="the Event")


def test_a_certificate_is_renewed_under_load(busy: Shop, own_ssh_host: SshHost) -> None:
    busy.kube.apply(authority(busy.namespace))
    trust_only_authorities(own_ssh_host, trusted_keys(busy))
    busy.kube.apply(certified(busy, "web-02", own_ssh_host))
    working(busy)
    with steady_calls(busy, "web-02", "second"):
        for validity in ("50m", "40m", "30m"):
            before = serials(busy, "web-02")
            busy.kube.apply(certified(busy, "web-02", own_ssh_host, validity=validity))
            (new,) = wait_until(lambda: serials(busy, "web-02") - before, what="a new certificate")  # noqa: B023 - called at once
            wait_until(lambda: f"serial {new}" in own_ssh_host.log(), what="it logs in")  # noqa: B023 - as above


def test_the_authority_is_rotated_under_load(busy: Shop, own_ssh_host: SshHost) -> None:
    busy.kube.apply(authority(busy.namespace))
    former = trusted_keys(busy)
    trust_only_authorities(own_ssh_host, former)
    busy.kube.apply(certified(busy, "web-02", own_ssh_host))
    working(busy)

    def fingerprints() -> dict[str, str]:
        return {some["state"]: some["fingerprint"] for some in authority_status(busy).get("authorities", ())}

    old = fingerprints()["Active"]
    with steady_calls(busy, "web-02", "second") as load:
        busy.kube.run("annotate", "sshca", "fleet", "-n", busy.namespace, "fairlead.dev/rotate=monday")
        wait_until(lambda: "Next" in fingerprints(), what="a second key")
        new = fingerprints()["Next"]
        load.until_more(100)
        assert fingerprints() == {"Active": old, "Next": new}, "the host does not trust the second key yet"
        both = trusted_keys(busy)
        assert len(both.splitlines()) == 2
        trust(own_ssh_host, both)
        wait_until(lambda: fingerprints() == {"Active": new}, timeout=TRIALS, what="the second key takes over")
        wait_until(lambda: len(trusted_keys(busy).splitlines()) == 1, what="one line is left")
        trust(own_ssh_host, trusted_keys(busy))
        load.until_more()
    busy.wait_ready("web-02")
