"""The node: its namespaces, its network, containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

from tests.cluster import build, namespaces, packages
from tests.cluster.console import ClusterError
from tests.cluster.processes import Processes, wait_until
from tests.cluster.state import State

NAME = "node"
ADDRESS = "192.168.99.1"
SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/16"
DNS = "10.96.0.10"
DOMAIN = "cluster.local"
CONFIG = Path("/run/fairlead")
"""Where the node sees the state directory's `etc`: the same short path for every cluster."""
SILENT = "203.0.113.0/24"
"""Addresses from which nothing ever answers (TEST-NET-3), to meet a timeout; others outside are unreachable at once."""

# The kubelet sets these for the whole machine; it gets copies instead.
_KERNEL_KNOBS = (
    "vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops"
    " kernel/keys/root_maxkeys kernel/keys/root_maxbytes"
)

# Runs as root in new mount, network and pid namespaces. Its /run and /var are its own, so that containerd and kubelet
# keep their standard paths without a trace on the machine; binds are made elsewhere first, because the originals may
# be under /var or /run.
_INIT = f"""set -eu
state=$1 programs=$2 pause=$3
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs "$state/run"
mkdir -p "$state/run/fairlead" "$state/run/programs" "$state/run/var"
mount --bind "$state/etc" "$state/run/fairlead"
mount --bind "$programs" "$state/run/programs"
mount --bind "$state/var" "$state/run/var"
mount --rbind "$state/run" /run
mount --bind /run/var /var
for knob in {_KERNEL_KNOBS}; do
  [ -e "/proc/sys/$knob" ] || continue
  cp "/proc/sys/$knob" "/run/${{knob##*/}}"
  mount --bind "/run/${{knob##*/}}" "/proc/sys/$knob"
done
ip link set lo up
ip link add node0 type bridge
ip address add {ADDRESS}/24 dev node0
ip link set node0 up
ip route add {SERVICES} dev node0
ip route add blackhole {SILENT}
ip route add unreachable default
echo 1 >/proc/sys/net/ipv4/ip_forward
exec "$pause"
"""

_CONTAINERD = """version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "/run/fairlead/cni"
"""

_CNI = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
    ],
}

_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": str(CONFIG / "pki" / "kubernetes-ca.crt")},
    },
    "authorization": {"mode": "Webhook"},
    "tlsCertFile": str(CONFIG / "pki" / "kubelet-server.crt"),
    "tlsPrivateKeyFile": str(CONFIG / "pki" / "kubelet-server.key"),
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "failSwapOn": False,
    "clusterDNS": [DNS],
    "clusterDomain": DOMAIN,
    "resolvConf": str(CONFIG / "resolv.conf"),  # the machine's own resolver is out of reach
    "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    "maxPods": 250,
    "serializeImagePulls": False,
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,  # images are loaded by hand: what is collected cannot be pulled again
}


@dataclass(frozen=True)
class Node:
    """The one node of an own cluster."""

    state: State
    processes: Processes

    @property
    def etc(self) -> Path:
        """The configuration directory, as seen from outside the node."""
        return self.state.root / "etc"

    @property
    def holder(self) -> int | None:
        """The pid of the process that holds the node's namespaces, while it lives."""
        return self.processes.pid("init")

    def ensure_namespaces(self, pause: Path) -> None:
        """Make the node's namespaces and network, unless they are there."""
        if self.holder is None:
            for directory in ("etc", "run", "var/lib", "var/log", "var/tmp"):
                (self.state.root / directory).mkdir(parents=True, exist_ok=True)
            (self.state.root / "var/run").symlink_to("/run")
            command = ["unshare", "--mount", "--net", "--propagation", "slave", "--", "/bin/sh", "-c", _INIT, "init"]
            programs = build.cache_dir() / "bin"
            self.processes.ensure(
                "init",
                [*command, str(self.state.root), str(programs), str(self.program(pause))],
                born=namespaces.children_in_new_pid_namespace,
            )
        wait_until(self._is_set_up, "the node's namespaces", timeout=30, explain=lambda: self.processes.tail("init"))

    def program(self, path: Path) -> Path:
        """Return where the node sees a program of the cache."""
        return Path("/run/programs") / path.relative_to(build.cache_dir() / "bin")

    def ensure_running(self, name: str, command: Sequence[str]) -> None:
        """Start a program on the node unless it runs."""
        holder = self._living_holder()
        self.processes.ensure(
            name, [*namespaces.entering(holder), *command], born=lambda: namespaces.children_in(holder)
        )

    def run(self, *command: str, stdin: IO[bytes] | int = subprocess.DEVNULL, check: bool = True) -> str | None:
        """Run a command on the node; return what it printed, or None when it failed and `check` is not set.

        Raises ClusterError when it failed and `check` is set.
        """
        holder = self._living_holder()
        with namespaces.children_in(holder):
            process = subprocess.Popen(
                [*namespaces.entering(holder), *command],
                env={"PATH": packages.search_path()},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        stdout, stderr = process.communicate()
        if process.returncode and check:
            raise ClusterError(f"{' '.join(command)} failed on the node: {stderr.strip() or stdout.strip()}")
        return None if process.returncode else stdout

    def start_containerd(self, pause_image: str) -> None:
        """Start containerd and wait until it answers."""
        cni = packages.cni_directory()
        if cni is None:
            raise ClusterError("missing: the CNI plugins; install containernetworking-plugins")
        self._write("containerd.toml", _CONTAINERD.format(pause_image=pause_image, cni=cni))
        self._write("cni/10-pods.conflist", json.dumps(_CNI))
        self.ensure_running("containerd", ["containerd", "-c", str(CONFIG / "containerd.toml")])
        wait_until(
            lambda: self.run("ctr", "version", check=False) is not None,
            "containerd",
            timeout=90,
            explain=lambda: self.processes.tail("containerd"),
        )

    def start_kubelet(self, kubelet: Path) -> None:
        """Start the kubelet below a control group of its own."""
        for hierarchy in _cgroup_hierarchies():
            (hierarchy / self.state.name).mkdir(exist_ok=True)
        self._write("resolv.conf", "")
        self._write("kubelet.yaml", yaml.safe_dump(_KUBELET | {"cgroupRoot": f"/{self.state.name}"}))
        command = [str(self.program(kubelet)), "--config", str(CONFIG / "kubelet.yaml")]
        identity = [
            "--kubeconfig",
            str(CONFIG / "kubelet.kubeconfig"),
            "--node-ip",
            ADDRESS,
            "--hostname-override",
            NAME,
        ]
        self.ensure_running("kubelet", [*command, *identity])

    def start_kube_proxy(self, kube_proxy: Path) -> None:
        """Start kube-proxy; it leaves the machine's connection tracking limits alone."""
        conntrack = ["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s"]
        command = [str(self.program(kube_proxy)), "--kubeconfig", str(CONFIG / "kube-proxy.kubeconfig")]
        network = ["--proxy-mode", "nftables", "--cluster-cidr", PODS, "--hostname-override", NAME]
        self.ensure_running("kube-proxy", [*command, *network, *conntrack, "--conntrack-tcp-timeout-close-wait=0s"])

    def load_image(self, archive: Path) -> None:
        """Import an image archive into containerd."""
        with archive.open("rb") as content:
            self.run("ctr", "-n", "k8s.io", "images", "import", "-", stdin=content)

    def images(self) -> set[str]:
        """Return the names of the images on the node."""
        return set((self.run("ctr", "-n", "k8s.io", "images", "list", "-q") or "").split())

    def remove(self) -> None:
        """End everything on the node and take its control groups away."""
        holder = self.holder
        if holder is not None:
            os.kill(holder, signal.SIGKILL)  # pid 1 of its namespace: the kernel ends all others before it is gone
            wait_until(lambda: self.processes.gone("init"), "the node's processes to end", timeout=60)
        for hierarchy in _cgroup_hierarchies():
            _remove_cgroup(hierarchy / self.state.name)

    def _living_holder(self) -> int:
        holder = self.holder
        if holder is None:
            raise ClusterError("the node is not running: run `make cluster`")
        return holder

    def _is_set_up(self) -> bool:
        if self.holder is None:
            raise ClusterError(f"the node's namespaces could not be made\n{self.processes.tail('init')}")
        return Path(f"/proc/{self.holder}/comm").read_text().strip() == "pause"

    def _write(self, name: str, text: str) -> None:
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _cgroup_hierarchies() -> list[Path]:
    """The root of the one hierarchy of cgroup v2, or of each one of v1."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted({path.resolve() for path in root.iterdir() if (path / "cgroup.procs").exists()})


def _remove_cgroup(group: Path) -> None:
    """Remove a control group and all below it; those just emptied may be busy for a moment."""
    deadline = time.monotonic() + 10
    for directory, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                Path(directory).rmdir()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
