"""A private control plane on loopback: etcd, API server with RBAC, the controllers that matter. No node, no pods."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from fairlead_operator.cluster.permissions import OWN_NAMESPACE, WATCHED_NAMESPACES, Rule
from tests.cluster import build
from tests.cluster.pki import Authority, ensure_signing_key, write_kubeconfig
from tests.integration.operator.reading import Reader
from tests.integration.sshd import free_port

OPERATOR_NAMESPACE = "fairlead-system"
CRDS = Path(__file__).resolve().parents[3] / "crds"
STARTUP_SECONDS = 60.0


@dataclass
class ControlPlane:
    """A running control plane, and how to reach it."""

    directory: Path
    programs: dict[str, Path]
    port: int
    admin: Path
    """Kubeconfig of an administrator."""
    operator: Path
    """Kubeconfig of the operator, who may do what it asks for and nothing else."""
    reader: Reader
    """Reads as the administrator."""

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator."""
        done = subprocess.run(
            [str(self.programs["kubectl"]), "--kubeconfig", str(self.admin), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def apply(self, *manifests: object) -> None:
        """Apply manifests as a user would."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


@contextlib.contextmanager
def control_plane(directory: Path) -> Iterator[ControlPlane]:
    """Start one in `directory`, and end it."""
    programs = build.ensure([build.ETCD, build.KUBERNETES])
    pki = directory / "pki"
    pki.mkdir()
    authority = Authority.ensure(pki, "ca")
    port = free_port()
    server = f"https://127.0.0.1:{port}"
    serving = authority.issue("apiserver", "kube-apiserver", hosts=["127.0.0.1"])
    ensure_signing_key(pki, "service-accounts")
    configs = {}
    for name, groups in (("admin", ("system:masters",)), ("operator", ())):
        configs[name] = directory / f"{name}.kubeconfig"
        write_kubeconfig(configs[name], server, authority, authority.issue(name, name, organizations=groups), name=name)
    client, peer = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        etcd = {
            "data-dir": directory / "etcd",
            "unsafe-no-fsync": "true",
            "listen-client-urls": f"http://127.0.0.1:{client}",
            "advertise-client-urls": f"http://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": f"default=http://127.0.0.1:{peer}",
        }
        stack.enter_context(_process(directory, programs["etcd"], etcd))
        api = {
            "etcd-servers": f"http://127.0.0.1:{client}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": port,
            "tls-cert-file": serving.certificate,
            "tls-private-key-file": serving.key,
            "client-ca-file": authority.pair.certificate,
            "authorization-mode": "RBAC",
            "disable-admission-plugins": "ServiceAccount",
            "service-cluster-ip-range": "10.97.0.0/16",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": pki / "service-accounts.pub",
            "service-account-signing-key-file": pki / "service-accounts.key",
        }
        stack.enter_context(_process(directory, programs["kube-apiserver"], api))
        reader = stack.enter_context(contextlib.closing(Reader(configs["admin"], pki)))
        plane = ControlPlane(directory, programs, port, configs["admin"], configs["operator"], reader)
        _until_ready(plane)
        # Before the garbage collector starts: of kinds that come later it learns only half a minute after.
        plane.kubectl("apply", *(f"--filename={path}" for path in sorted(CRDS.glob("*.yaml"))))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        manager = {
            "kubeconfig": configs["admin"],
            "authentication-kubeconfig": configs["admin"],
            "authorization-kubeconfig": configs["admin"],
            "bind-address": "127.0.0.1",
            "secure-port": free_port(),
            "leader-elect": "false",
            "controllers": ",".join(
                f"{name}-controller" for name in ("garbage-collector", "deployment", "replicaset", "namespace")
            ),
        }
        stack.enter_context(_process(directory, programs["kube-controller-manager"], manager))
        plane.kubectl("create", "namespace", OPERATOR_NAMESPACE)
        plane.apply(*_roles())
        yield plane


def _roles() -> list[dict[str, object]]:
    """Exactly what the operator says it needs."""
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "name": "operator", "apiGroup": group}]
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "operator"},
            "rules": [_rule(rule) for rule in WATCHED_NAMESPACES],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "operator"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "operator"},
            "subjects": subjects,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": "operator", "namespace": OPERATOR_NAMESPACE},
            "rules": [_rule(rule) for rule in OWN_NAMESPACE],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "operator", "namespace": OPERATOR_NAMESPACE},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "operator"},
            "subjects": subjects,
        },
    ]


def _rule(rule: Rule) -> dict[str, object]:
    made: dict[str, object] = {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)}
    if rule.names:
        made["resourceNames"] = list(rule.names)
    return made


@contextlib.contextmanager
def _process(directory: Path, program: Path, flags: dict[str, object]) -> Iterator[None]:
    with (directory / f"{program.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(program), *(f"--{flag}={value}" for flag, value in flags.items())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=os.environ,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _until_ready(plane: ControlPlane) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while plane.kubectl("get", "--raw", "/readyz", check=False) != "ok":
        if time.monotonic() > deadline:
            log = (plane.directory / "kube-apiserver.log").read_text()[-3000:]
            raise AssertionError(f"the API server does not start:\n{log}")
        time.sleep(0.1)
