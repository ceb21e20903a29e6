"""What a new user gets wrong: `kubectl get rh` and `kubectl describe rh` alone lead to the cause."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.support.hosts import SshHost, new_key, private_pem, public_line
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host, secret
from tests.e2e.support.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class Mistake:
    """One wrong object, and what a user must be told."""

    name: str
    reason: str
    """In the column REASON of `kubectl get rh`."""
    words: tuple[str, ...]
    """In `kubectl describe rh`: what is wrong, by its name, and what to do."""
    spec: dict[str, Any] = field(default_factory=dict)
    """What differs from a host that works."""


def _auth(name: str) -> Object:
    return {"auth": {"type": "Secret", "secret": {"name": name}}}


_ABSENT = {"name": "absent-app", "key": "token"}
_STRANGERS_KEY = public_line(new_key())
MISTAKES = (
    Mistake("wrong-name", "Unreachable", ("no-such-host.invalid", "address"), {"address": "no-such-host.invalid"}),
    Mistake("wrong-port", "Unreachable", ("cluster.local:2", "port"), {"port": 2}),
    Mistake("no-secret", "SecretNotFound", ("'absent-ssh'", "ssh-privatekey", "create it"), _auth("absent-ssh")),
    Mistake("empty-secret", "SecretNotFound", ("empty-ssh", "ssh-privatekey"), _auth("empty-ssh")),
    Mistake("garbage-key", "CredentialsInvalid", ("garbage-ssh", "ssh-privatekey", "BEGIN"), _auth("garbage-ssh")),
    Mistake("no-passphrase", "CredentialsInvalid", ("locked-ssh", "passphrase"), _auth("locked-ssh")),
    Mistake("strange-key", "AuthenticationFailed", ("strange-ssh", "authorized_keys"), _auth("strange-ssh")),
    Mistake("wrong-user", "AuthenticationFailed", ("deplyo", "authorized_keys"), {"username": "deplyo"}),
    Mistake(
        "wrong-pin",
        "HostKeyMismatch",
        ("SHA256:", "fingerprint"),
        {"hostKey": {"type": "Pinned", "pinned": {"publicKeys": [_STRANGERS_KEY]}}},
    ),
    Mistake(
        "no-bastion",
        "JumpHostNotFound",
        ("'bastion'", "spec.jumpHosts"),
        {"jumpHosts": [{"hostRef": {"name": "bastion"}}]},
    ),
    Mistake(
        "jump-circle",
        "JumpCycle",
        ("jump-circle -> jump-circle",),
        {"jumpHosts": [{"hostRef": {"name": "jump-circle"}}]},
    ),
    Mistake(
        "no-authority",
        "AuthorityNotFound",
        ("'fleet-ca'", "SSHCertificateAuthority"),
        {"auth": {"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet-ca"}}}},
    ),
    Mistake(
        "no-variable",
        "SecretNotFound",
        ("absent-app/token", "spec.environment"),
        {"environment": {"variables": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": _ABSENT}}]}},
    ),
    Mistake(
        "nowhere-to-run",
        "PodNotReady",
        ("can't be placed", "node affinity/selector"),
        {"sidecar": {"nodeSelector": {"disk": "of-gold"}}},
    ),
    Mistake(
        "too-greedy",
        "PodNotReady",
        ("can't be placed", "Insufficient cpu"),
        {"sidecar": {"resources": {"requests": {"cpu": "900"}, "limits": {"cpu": "900"}}}},
    ),
)


@pytest.fixture(scope="module")
def wrong_hosts(kube: Kube, ssh_host: SshHost, admission_namespace: str) -> Iterator[str]:
    """All of them at once, as they are independent of each other."""
    namespace = admission_namespace
    kube.apply(
        secret(namespace, "right-ssh", ssh_privatekey=ssh_host.private_key),
        secret(namespace, "empty-ssh", ssh_private_key=ssh_host.private_key),
        secret(namespace, "garbage-ssh", ssh_privatekey="ssh-ed25519 AAAA, or so"),
        secret(namespace, "locked-ssh", ssh_privatekey=private_pem(new_key(), "a passphrase")),
        secret(namespace, "strange-ssh", ssh_privatekey=private_pem(new_key())),
        *(_host(namespace, mistake, ssh_host) for mistake in MISTAKES),
    )
    yield namespace
    kube.run("delete", "rh", "-n", namespace, *(mistake.name for mistake in MISTAKES), "--wait=false")


def _host(namespace: str, mistake: Mistake, ssh_host: SshHost) -> Object:
    host = remote_host(namespace, mistake.name, ssh_host.address, ssh_host.public_host_key, **_auth("right-ssh"))
    host["spec"] |= mistake.spec
    return host


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_kubectl_leads_to_the_cause(mistake: Mistake, kube: Kube, wrong_hosts: str) -> None:
    def row() -> list[str]:
        return kube.run("get", "rh", mistake.name, "-n", wrong_hosts, "--no-headers").split()

    # All pods start at the same time.
    timeout = 2 * PATIENCE
    wait_until(lambda: row()[1:3] == ["False", mistake.reason], timeout=timeout, what=f"{mistake.name}: {row()}")

    def missing() -> list[str]:
        told = " ".join(kube.run("describe", "rh", mistake.name, "-n", wrong_hosts).split())
        # What the object itself says doesn't count: a user knows that already.
        _, _, status = told.partition(" Status: ")
        return [word for word in mistake.words if word not in status]

    wait_until(lambda: not missing(), what=f"{mistake.name}: described with {missing()}")
