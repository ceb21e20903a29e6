"""Hosts behind jump hosts: real SSH servers on the way, by reference and written out."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import asyncssh
import pytest

from tests.e2e.support.agent import try_call
from tests.e2e.support.hosts import Shop, SshHost, deploy_ssh_host, new_key, public_line
from tests.e2e.support.install import Installation
from tests.e2e.support.kube import Kube, wait_condition
from tests.e2e.support.objects import remote_host, secret
from tests.e2e.support.waiting import wait_until

NewHost = Callable[[], SshHost]


@pytest.fixture
def new_host(kube: Kube, installation: Installation, hosts_namespace: str) -> Iterator[NewHost]:
    """Starts further SSH servers; all are removed with the test."""
    started: list[SshHost] = []

    def start() -> SshHost:
        started.append(deploy_ssh_host(kube, hosts_namespace, f"jump-{uuid.uuid4().hex[:6]}"))
        return started[-1]

    yield start
    for host in started:
        kube.run("delete", "deployment,service,secret", "-n", hosts_namespace, "-l", host.selector, "--wait=false")


def add(shop: Shop, name: str, host: SshHost, **spec: Any) -> None:
    """A suspended RemoteHost for a real host, with its Secret: it is a way to others all the same."""
    shop.kube.apply(
        secret(shop.namespace, f"{name}-ssh", ssh_privatekey=host.private_key),
        remote_host(shop.namespace, name, host.address, host.public_host_key, suspended=True, **spec),
    )


def jump_through(shop: Shop, *jumps: dict[str, Any]) -> None:
    """Let web-01, which was reached directly up to now, be reached this way."""
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"jumpHosts": list(jumps)}})


def reference(name: str) -> dict[str, Any]:
    return {"hostRef": {"name": name}}


def inline(host: SshHost, secret_name: str, **changes: Any) -> dict[str, Any]:
    return {
        "address": host.address,
        "username": "deploy",
        "auth": {"type": "Secret", "secret": {"name": secret_name}},
        "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [host.public_host_key]}},
        **changes,
    }


def seen_from(shop: Shop) -> str:
    """The address that the sshd of web-01 was connected from, as it says itself."""
    command = "echo ${SSH_CONNECTION%% *}"
    # A new way takes a new pod: the call may meet the old one while that ends.
    result = try_call(shop.url(), shop.token(), "execute_command", command=command)
    return str(result.get("stdout", result)).strip()


def address(host: SshHost) -> str:
    """The address that a server connects from."""
    (pod,) = host.kube.list("pods", host.namespace, host.selector)
    return str(pod["status"]["podIP"])


def until_seen_from(shop: Shop, host: SshHost) -> None:
    """Wait until web-01 is reached from this host, and from no other."""
    wait_until(lambda: seen_from(shop) == address(host), what=f"commands come from {host.name}")
    shop.only_pod()
    shop.wait_ready()


def sign_host_key(host: SshHost, authority: asyncssh.SSHKey) -> None:
    """Let the server present a certificate for its key, made out to its address."""
    key = asyncssh.import_public_key(host.public_host_key)
    certificate = authority.generate_host_certificate(key, host.name, principals=[host.address])
    text = certificate.export_certificate("openssh").decode().strip()
    host.run("sh", "-c", f"echo '{text}' > /etc/ssh/host-cert.pub")
    host.run("sh", "-c", "echo 'HostCertificate /etc/ssh/host-cert.pub' >> /etc/ssh/sshd_config && kill -HUP 1")


def test_a_host_is_reached_through_another_and_the_others_change_reaches_it(shop: Shop, new_host: NewHost) -> None:
    first, second = new_host(), new_host()
    add(shop, "bastion", first)
    jump_through(shop, reference("bastion"))
    until_seen_from(shop, first)
    assert shop.kube.list("pods", shop.namespace, "fairlead.dev/host=bastion") == []
    add(shop, "bastion", second)
    until_seen_from(shop, second)


def test_a_way_leads_through_several_servers_each_with_its_own_key(shop: Shop, new_host: NewHost) -> None:
    edge, inner = new_host(), new_host()
    add(shop, "edge", edge)
    shop.kube.apply(secret(shop.namespace, "inner-login", ssh_privatekey=inner.private_key))
    jump_through(shop, reference("edge"), inline(inner, "inner-login"))
    until_seen_from(shop, inner)
    # What the first one accepts is no good for the second; the pod must have it before it connects anew.
    shop.kube.apply(secret(shop.namespace, "inner-login", ssh_privatekey=edge.private_key))
    wait_condition(shop.kube, "rh", "web-01", shop.namespace, "Connected", "True", reason="AuthenticationFailed")
    inner.scale(0)
    inner.scale(1)
    found = shop.wait_not_ready("AuthenticationFailed")
    assert inner.address in found["message"]


def test_a_jump_host_with_another_key_is_not_passed(shop: Shop, new_host: NewHost) -> None:
    bastion = new_host()
    wrong = {"type": "Pinned", "pinned": {"publicKeys": [public_line(new_key())]}}
    add(shop, "bastion", bastion, hostKey=wrong)
    jump_through(shop, reference("bastion"))
    found = shop.wait_not_ready("HostKeyMismatch")
    assert bastion.address in found["message"]
    add(shop, "bastion", bastion)
    until_seen_from(shop, bastion)


def test_certificates_of_an_authority_are_trusted_on_the_way_and_at_its_end(
    shop: Shop, own_ssh_host: SshHost, new_host: NewHost
) -> None:
    authority, bastion = new_key(), new_host()
    trusted = {"type": "Authority", "authority": {"publicKeys": [public_line(authority)]}}
    for host in (bastion, own_ssh_host):
        sign_host_key(host, authority)
    shop.kube.apply(secret(shop.namespace, "bastion-login", ssh_privatekey=bastion.private_key))
    shop.kube.apply(secret(shop.namespace, "signed-ssh", ssh_privatekey=own_ssh_host.private_key))
    signed = remote_host(shop.namespace, "signed", own_ssh_host.address, "", hostKey=trusted)
    signed["spec"]["jumpHosts"] = [inline(bastion, "bastion-login", hostKey=trusted)]
    shop.kube.apply(signed)
    shop.wait_ready("signed")
    other = {"type": "Authority", "authority": {"publicKeys": [public_line(new_key())]}}
    shop.kube.patch("rh", "signed", shop.namespace, {"spec": {"hostKey": other | {"pinned": None}}})
    shop.wait_not_ready("HostKeyMismatch", "signed")


def test_a_circle_is_named_and_what_worked_goes_on(shop: Shop, new_host: NewHost) -> None:
    bastion = new_host()
    add(shop, "bastion", bastion)
    jump_through(shop, reference("bastion"))
    until_seen_from(shop, bastion)
    add(shop, "bastion", bastion, jumpHosts=[reference("web-01")])
    found = shop.wait_not_ready("JumpCycle")
    assert "web-01 -> bastion -> web-01" in found["message"]
    assert seen_from(shop) == address(bastion), "the connection there was is used"
    add(shop, "bastion", bastion)
    shop.wait_ready()


def test_a_missing_jump_host_and_a_missing_secret_of_one_are_named(shop: Shop, new_host: NewHost) -> None:
    bastion = new_host()
    jump_through(shop, reference("bastion"))
    found = shop.wait_not_ready("JumpHostNotFound")
    assert "'bastion'" in found["message"]
    shop.kube.apply(
        remote_host(shop.namespace, "bastion", bastion.address, bastion.public_host_key, suspended=True),
    )
    missing = wait_condition(
        shop.kube, "rh", "web-01", shop.namespace, "CredentialsReady", "False", reason="SecretNotFound"
    )
    assert "bastion-ssh" in missing["message"]
    shop.kube.apply(secret(shop.namespace, "bastion-ssh", ssh_privatekey=bastion.private_key))
    until_seen_from(shop, bastion)
