"""The control plane: etcd, API server, controller manager and scheduler, each with certificates of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import node as node_module
from tests.cluster.node import CONFIG, Node
from tests.cluster.pki import Authority, ensure_signing_key, write_kubeconfig

_SERVER = "https://127.0.0.1:6443"
_ETCD_PEER = "https://127.0.0.1:2380"
_ISSUER = f"https://kubernetes.default.svc.{node_module.DOMAIN}"
_API_SERVICE = "10.96.0.1"  # always the first address of the service range
_PKI = CONFIG / "pki"

_COMPONENTS = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kube-proxy": ("system:kube-proxy", ()),
    "kubelet": (f"system:node:{node_module.NAME}", ("system:nodes",)),
}
"""Kubernetes user and groups of each component, to which its default roles are bound."""


@dataclass(frozen=True)
class ControlPlane:
    """What serves the Kubernetes API, on the node."""

    node: Node
    programs: Mapping[str, Path]

    def ensure_credentials(self, outside_server: str) -> None:
        """Make certificates and kubeconfigs, once; the administrator's is for `outside_server`."""
        pki = self.node.etc / "pki"
        authority = Authority.ensure(pki, "kubernetes-ca")
        etcd = Authority.ensure(pki, "etcd-ca")  # of its own: a client of the API must not be one of etcd
        etcd.issue("etcd", "etcd", hosts=["127.0.0.1"])
        etcd.issue("apiserver-etcd-client", "kube-apiserver")
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", _ISSUER.removeprefix("https://")]
        addresses = ["127.0.0.1", node_module.ADDRESS, _API_SERVICE]
        authority.issue("apiserver", "kube-apiserver", hosts=["localhost", *names, *addresses])
        authority.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client")
        authority.issue(
            "kubelet-server", f"system:node:{node_module.NAME}", hosts=[node_module.NAME, node_module.ADDRESS]
        )
        Authority.ensure(pki, "front-proxy-ca").issue("front-proxy-client", "front-proxy-client")
        ensure_signing_key(pki, "service-accounts")
        for component, (user, groups) in _COMPONENTS.items():
            pair = authority.issue(component, user, organizations=groups)
            write_kubeconfig(self.node.etc / f"{component}.kubeconfig", _SERVER, authority, pair, name=component)
        admin = authority.issue("admin", "fairlead-admin", organizations=["system:masters"])
        state = self.node.state
        write_kubeconfig(state.kubeconfig, outside_server, authority, admin, name=state.name)

    def start_api(self) -> None:
        """Start etcd and the API server."""
        self._ensure_running(
            "etcd",
            {
                "data-dir": "/var/lib/etcd",
                "unsafe-no-fsync": "true",  # nothing in it outlives the machine
                "listen-client-urls": "https://127.0.0.1:2379",
                "advertise-client-urls": "https://127.0.0.1:2379",
                "listen-peer-urls": _ETCD_PEER,
                "initial-advertise-peer-urls": _ETCD_PEER,
                "initial-cluster": f"default={_ETCD_PEER}",
                **{f"{role}client-cert-auth": "true" for role in ("", "peer-")},
                **{f"{role}trusted-ca-file": _PKI / "etcd-ca.crt" for role in ("", "peer-")},
                **{f"{role}cert-file": _PKI / "etcd.crt" for role in ("", "peer-")},
                **{f"{role}key-file": _PKI / "etcd.key" for role in ("", "peer-")},
            },
        )
        self._ensure_running(
            "kube-apiserver",
            {
                "etcd-servers": "https://127.0.0.1:2379",
                "etcd-cafile": _PKI / "etcd-ca.crt",
                "etcd-certfile": _PKI / "apiserver-etcd-client.crt",
                "etcd-keyfile": _PKI / "apiserver-etcd-client.key",
                "secure-port": "6443",
                "advertise-address": node_module.ADDRESS,
                "tls-cert-file": _PKI / "apiserver.crt",
                "tls-private-key-file": _PKI / "apiserver.key",
                "client-ca-file": _PKI / "kubernetes-ca.crt",
                "kubelet-certificate-authority": _PKI / "kubernetes-ca.crt",
                "kubelet-client-certificate": _PKI / "apiserver-kubelet-client.crt",
                "kubelet-client-key": _PKI / "apiserver-kubelet-client.key",
                "kubelet-preferred-address-types": "InternalIP",
                "requestheader-client-ca-file": _PKI / "front-proxy-ca.crt",  # for aggregated APIs
                "requestheader-allowed-names": "front-proxy-client",
                "requestheader-username-headers": "X-Remote-User",
                "requestheader-group-headers": "X-Remote-Group",
                "requestheader-extra-headers-prefix": "X-Remote-Extra-",
                "proxy-client-cert-file": _PKI / "front-proxy-client.crt",
                "proxy-client-key-file": _PKI / "front-proxy-client.key",
                "authorization-mode": "Node,RBAC",
                "enable-admission-plugins": "NodeRestriction",  # besides the default ones
                "service-cluster-ip-range": node_module.SERVICES,
                "service-account-issuer": _ISSUER,
                "service-account-key-file": _PKI / "service-accounts.pub",
                "service-account-signing-key-file": _PKI / "service-accounts.key",
                "allow-privileged": "true",
                "profiling": "false",
            },
        )

    def start_controllers(self) -> None:
        """Start the controller manager and the scheduler."""
        kubeconfig = CONFIG / "kube-controller-manager.kubeconfig"
        self._ensure_running(
            "kube-controller-manager",
            {
                "kubeconfig": kubeconfig,
                "authentication-kubeconfig": kubeconfig,
                "authorization-kubeconfig": kubeconfig,
                "bind-address": "127.0.0.1",
                "leader-elect": "false",
                "use-service-account-credentials": "true",
                "service-account-private-key-file": _PKI / "service-accounts.key",
                "root-ca-file": _PKI / "kubernetes-ca.crt",
                "cluster-signing-cert-file": _PKI / "kubernetes-ca.crt",
                "cluster-signing-key-file": _PKI / "kubernetes-ca.key",
                "profiling": "false",
            },
        )
        kubeconfig = CONFIG / "kube-scheduler.kubeconfig"
        self._ensure_running(
            "kube-scheduler",
            {
                "kubeconfig": kubeconfig,
                "authentication-kubeconfig": kubeconfig,
                "authorization-kubeconfig": kubeconfig,
                "bind-address": "127.0.0.1",
                "leader-elect": "false",
                "profiling": "false",
            },
        )

    def _ensure_running(self, name: str, flags: Mapping[str, object]) -> None:
        program = str(self.node.program(self.programs[name]))
        self.node.ensure_running(name, [program, *(f"--{flag}={value}" for flag, value in flags.items())])
