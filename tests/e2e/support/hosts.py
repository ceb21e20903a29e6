"""Real SSH servers as pods, and a namespace with hosts and tokens as tests use it."""

import base64
from dataclasses import dataclass

import asyncssh

from tests.cluster import sshhost
from tests.cluster.images import load
from tests.cluster.state import State
from tests.e2e.support.agent import answer
from tests.e2e.support.install import Installation
from tests.e2e.support.kube import Kube, Object, wait_condition
from tests.e2e.support.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class SshHost:
    """A pod with OpenSSH and the account `deploy`, behind a Service."""

    kube: Kube
    namespace: str
    name: str
    private_key: str
    """OpenSSH PEM of the key that `deploy` may log in with."""
    public_host_key: str
    """One line, as RemoteHosts pin it."""

    @property
    def address(self) -> str:
        """The name under which pods reach it on port 22."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def selector(self) -> str:
        """What selects the server's pods."""
        return f"app.kubernetes.io/instance={self.name}"

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the pod as root, past SSH: what the test looks at, Fairlead can't have made up."""
        return self.kube.run("exec", "-n", self.namespace, f"deploy/{self.name}", "--", *command, check=check)

    def processes(self, pattern: str) -> list[str]:
        """Command lines of running processes that contain the pattern."""
        listing = self.run("ps", "-eo", "args")
        return [line for line in listing.splitlines() if pattern in line and "ps -eo" not in line]

    def scale(self, replicas: int) -> None:
        """Switch the host off (0) or on (1), and wait until it is."""
        self.kube.run("scale", "-n", self.namespace, f"deployment/{self.name}", f"--replicas={replicas}")
        if replicas:
            self.wait_on()
        else:
            wait_until(lambda: not self.kube.list("pods", self.namespace, self.selector), what="the host is off")

    def wait_on(self) -> None:
        """Wait until the server runs as it was applied last, and no other."""
        self.kube.run(
            "rollout", "status", "-n", self.namespace, f"deployment/{self.name}", f"--timeout={PATIENCE:.0f}s"
        )

    def log(self) -> str:
        """What sshd has written since it started; it may be some moments late."""
        return self.kube.run("logs", "-n", self.namespace, f"deployment/{self.name}")


@dataclass(frozen=True)
class Shop:
    """A namespace with hosts and tokens."""

    kube: Kube
    installation: Installation
    namespace: str
    ssh_host: SshHost

    def host(self, name: str = "web-01") -> Object:
        """The RemoteHost as it stands."""
        found = self.kube.get("remotehost", name, self.namespace)
        assert found is not None
        return found

    def wait_ready(self, name: str = "web-01", *, timeout: float = PATIENCE) -> Object:
        """Wait until the host is Ready."""
        return wait_condition(self.kube, "remotehost", name, self.namespace, "Ready", "True", timeout=timeout)

    def wait_not_ready(self, reason: str, name: str = "web-01", *, timeout: float = PATIENCE) -> Object:
        """Wait until the host is not Ready for this reason."""
        return wait_condition(
            self.kube, "remotehost", name, self.namespace, "Ready", "False", reason=reason, timeout=timeout
        )

    def wait_routed(self, name: str = "web-01") -> None:
        """Wait until the Ingress controller routes the host's URL: it takes a moment longer than Ready."""
        url, instance = self.url(name), self.host(name)["metadata"]["uid"]
        wait_until(
            lambda: (found := answer(url, None)) is not None and found.headers.get("fairlead-instance") == instance,
            what=f"the Ingress controller routes {name}",
        )

    def pods(self, name: str = "web-01") -> list[Object]:
        """The host's pods."""
        return self.kube.list("pods", self.namespace, f"fairlead.dev/host={name}")

    def only_pod(self, name: str = "web-01") -> Object:
        """The host's pod, once it is the only one: the one that it takes the place of answers for some seconds more."""
        return wait_until(
            lambda: found[0] if len(found := self.pods(name)) == 1 else None, what=f"there is one pod of {name}"
        )

    def wait_token_ready(self, name: str = "agent") -> Object:
        """Wait until every host that the token is for accepts it."""
        return wait_condition(self.kube, "mcptoken", name, self.namespace, "Ready", "True")

    def url(self, name: str = "web-01") -> str:
        """The URL that an agent outside the cluster uses."""
        url: str = self.host(name)["status"]["url"]
        return url

    def token(self, name: str = "agent") -> str:
        """The token, read from its Secret as a user reads it."""
        found = self.kube.get("secret", f"mcpt-{name}", self.namespace)
        assert found is not None
        return base64.b64decode(found["data"]["token"]).decode()


def new_key() -> asyncssh.SSHKey:
    """A fresh Ed25519 key."""
    return asyncssh.generate_private_key("ssh-ed25519")


def private_pem(key: asyncssh.SSHKey, passphrase: str | None = None) -> str:
    """The private half in OpenSSH's format."""
    return key.export_private_key("openssh", passphrase=passphrase).decode()


def public_line(key: asyncssh.SSHKey) -> str:
    """The public half as one line without comment."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def deploy_ssh_host(kube: Kube, namespace: str, name: str) -> SshHost:
    """Start an SSH server with fresh keys and wait until it is Ready."""
    host_key, user_key = new_key(), new_key()
    image = load.loaded(State.of_checkout())["sshhost"]
    kube.apply(
        *sshhost.manifests(
            name, namespace, image=image, host_key=private_pem(host_key), authorized_keys=public_line(user_key)
        )
    )
    host = SshHost(kube, namespace, name, private_pem(user_key), public_line(host_key))
    host.wait_on()
    return host
