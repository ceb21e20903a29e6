"""The cluster's binaries: each built once from its own pinned Go module, then taken from the cache.

A tool's cache directory is named after a hash of everything that decides what comes out: `go.mod`, `go.sum`, own
source, the build flags and the Go version. A changed pin therefore builds anew, and two checkouts with the same pins
share a build.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.console import ClusterError, step
from tests.cluster.locks import exclusive

TOOLS = Path(__file__).parent / "tools"
KUBERNETES_VERSION = "1.34.4"
TRAEFIK_VERSION = "3.6.12"
PROMETHEUS_OPERATOR_VERSION = "0.85.0"
MONITORING_KINDS = ("prometheusrules", "servicemonitors")
GATEWAY_API_VERSION = "1.4.0"
"""What that traefik is made for; its go.sum holds the checksum."""
_KUBERNETES_MAJOR, _KUBERNETES_MINOR, _ = KUBERNETES_VERSION.split(".")


@dataclass(frozen=True)
class Tool:
    """One Go module below `tools/` and the programs it yields."""

    name: str
    """The directory below `tools/`."""
    packages: dict[str, str]
    """Program name to the Go package of its main function."""
    variables: tuple[tuple[str, str], ...] = ()
    """String variables that the linker sets, by full name."""
    minutes: float = 0.1
    """About how long the first build takes on two cores, downloads included."""

    @property
    def linker_flags(self) -> str:
        """What `go build -ldflags` is given: no symbol tables, and the variables."""
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables)])


ETCD = Tool("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, minutes=0.5)
KUBERNETES = Tool(
    "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
    },
    variables=(
        ("k8s.io/component-base/version.gitVersion", f"v{KUBERNETES_VERSION}"),
        ("k8s.io/component-base/version.gitMajor", _KUBERNETES_MAJOR),
        ("k8s.io/component-base/version.gitMinor", _KUBERNETES_MINOR),
    ),
    minutes=6,
)
COREDNS = Tool("coredns", {"coredns": "github.com/coredns/coredns"}, minutes=2.5)
HELM = Tool("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}, minutes=1.5)
TRAEFIK = Tool(
    "traefik",
    {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
    variables=(("github.com/traefik/traefik/v3/pkg/version.Version", TRAEFIK_VERSION),),
    minutes=9.5,
)
PAUSE = Tool("pause", {"pause": "."})

CLUSTER_TOOLS = (PAUSE, ETCD, KUBERNETES, COREDNS, HELM, TRAEFIK)
"""What the own cluster needs, in the order of building: what others wait for comes first."""


def cache_dir() -> Path:
    """Where binaries and image layers are kept across checkouts: `$XDG_CACHE_HOME/fairlead`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fairlead"


def key(tool: Tool) -> str:
    """Twelve hex digits that change with whatever decides the result."""
    go = _go()
    source = TOOLS / tool.name
    version = subprocess.run([go, "env", "GOVERSION"], cwd=source, check=True, capture_output=True, text=True).stdout
    digest = hashlib.sha256(f"{version}\n{tool.linker_flags}\n{sorted(tool.packages.items())}\n".encode())
    for path in sorted(source.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def directory(tool: Tool) -> Path:
    """Where the tool's programs are, or will be once they are built."""
    return cache_dir() / "bin" / f"{tool.name}-{key(tool)}"


def ensure(tools: Iterable[Tool] = CLUSTER_TOOLS) -> dict[str, Path]:
    """Build what the cache does not hold; return every program's path by name.

    Raises ClusterError when Go is missing or a build fails.
    """
    programs: dict[str, Path] = {}
    for tool in tools:
        target = directory(tool)
        if not target.exists():
            _build(tool, target)
        programs |= {name: target / name for name in tool.packages}
    return programs


def missing(tools: Iterable[Tool] = CLUSTER_TOOLS) -> list[Tool]:
    """The tools that would have to be built."""
    return [tool for tool in tools if not directory(tool).exists()]


def gateway_api() -> Path:
    """Return one manifest with the CRDs of the Gateway API's standard channel, from the module that traefik uses.

    Raises ClusterError when it can't be downloaded, or is not what go.sum says.
    """
    target = cache_dir() / f"gateway-api-{GATEWAY_API_VERSION}.yaml"
    module = f"sigs.k8s.io/gateway-api@v{GATEWAY_API_VERSION}"
    return _manifests(target, TRAEFIK.name, module, "config/crd/standard/gateway.networking.k8s.io_*.yaml")


def prometheus_crds() -> Path:
    """Return one manifest with the CRDs ServiceMonitor and PrometheusRule of the Prometheus operator.

    Raises ClusterError when it can't be downloaded, or is not what go.sum says.
    """
    target = cache_dir() / f"prometheus-operator-{PROMETHEUS_OPERATOR_VERSION}.yaml"
    module = f"github.com/prometheus-operator/prometheus-operator@v{PROMETHEUS_OPERATOR_VERSION}"
    crds = (f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml" for kind in MONITORING_KINDS)
    return _manifests(target, "prometheus-operator", module, *crds)


def _manifests(target: Path, tool: str, module: str, *patterns: str) -> Path:
    """Write the files of a module that match one of the patterns into one, unless it is there.

    The go.sum of `tool` has the module's checksum.
    """
    if not target.exists():
        command = [_go(), "mod", "download", "-json", module]
        environment = os.environ | {"GOWORK": "off", "GOFLAGS": "-mod=readonly"}
        done = subprocess.run(command, cwd=TOOLS / tool, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
        directory = Path(json.loads(done.stdout)["Dir"])
        files = sorted(path for pattern in patterns for path in directory.glob(pattern))
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}")
        unfinished.write_text("\n---\n".join(path.read_text() for path in files))
        unfinished.rename(target)
    return target


def _build(tool: Tool, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_suffix(".lock")):
        if target.exists():  # another process built it while this one waited
            return
        with step(f"build {tool.name} from source (about {tool.minutes:g} min the first time)"):
            log = target.with_suffix(".log")
            unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            try:
                for name, package in tool.packages.items():
                    _go_build(tool, package, unfinished / name, log)
                unfinished.chmod(0o755)
                unfinished.rename(target)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)


def _go_build(tool: Tool, package: str, output: Path, log: Path) -> None:
    command = [_go(), "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", tool.linker_flags]
    with log.open("ab") as out:
        done = subprocess.run(
            [*command, "-o", str(output), package],
            cwd=TOOLS / tool.name,
            env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ClusterError(f"go build {package} failed; the whole log is in {log}\n{tail}")


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise ClusterError(
            "Go is missing: the cluster's binaries are built from source; install Go 1.26 or newer from https://go.dev/dl"
        )
    return go
