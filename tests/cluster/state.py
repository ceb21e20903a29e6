"""Where one checkout's cluster keeps what it knows: a directory, and in it one JSON file that describes the cluster."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tests.cluster.console import ClusterError
from tests.cluster.locks import exclusive

REPOSITORY = Path(__file__).resolve().parents[2]

Kind = Literal["own", "kind", "current"]


@dataclass(frozen=True)
class Description:
    """What tests, demo and benchmarks need to know of a cluster that is up."""

    kind: Kind
    """`own`: all of it made here; `kind`: in a container engine; `current`: somebody's, named by their kubeconfig."""
    context: str
    """The kubeconfig's context."""
    kubeconfig: str
    """A kubeconfig for use from this machine's own shell."""
    kubectl: str
    helm: str
    ingress_class: str
    ingress_url: str
    """Where this machine reaches the Ingress controller, without TLS: `http://localhost:PORT`; empty when unknown."""
    ingress_tls_url: str
    """The same with TLS; empty when unknown."""
    ingress_ca: str
    """The PEM file that verifies `ingress_tls_url`; empty when public authorities do."""
    ingress_pod_host: str
    """The name by which pods reach the Ingress controller at the ports of both URLs, as any name below it; or empty."""
    namespace_holder: int
    """The process whose namespaces the cluster lives in (`nsenter --net=/proc/PID/ns/net`); 0 when there is none."""
    faults: bool
    """Whether tests may break it: restart its node, fill it up, cut it off."""
    gateway: str = ""
    """`namespace/name` of a Gateway (Gateway API) that serves at `ingress_url`, too; empty when there is none."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which `kubectl`, `helm` and the tests find this cluster."""
        return {
            "KUBECONFIG": self.kubeconfig,
            "FAIRLEAD_CLUSTER": self.kind,
            "FAIRLEAD_INGRESS_URL": self.ingress_url,
            "FAIRLEAD_INGRESS_TLS_URL": self.ingress_tls_url,
            "FAIRLEAD_INGRESS_CA": self.ingress_ca,
        }

    @property
    def path(self) -> list[str]:
        """The directories that hold `kubectl` and `helm`."""
        return list(dict.fromkeys(str(Path(program).parent) for program in (self.kubectl, self.helm)))


@dataclass(frozen=True)
class State:
    """The state directory of this checkout's cluster."""

    root: Path

    @staticmethod
    def of_checkout() -> State:
        """Return `$XDG_STATE_HOME/fairlead/cluster-<hash of the checkout's path>`: each checkout can have a cluster."""
        base = os.environ.get("XDG_STATE_HOME")
        home = Path(base) if base else Path.home() / ".local" / "state"
        digest = hashlib.sha256(os.fsencode(REPOSITORY)).hexdigest()[:8]
        return State(home / "fairlead" / f"cluster-{digest}")

    @property
    def name(self) -> str:
        """A name that no other cluster on this machine has: `fairlead-<hash of the state directory's path>`."""
        return f"fairlead-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]}"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig for use from outside the cluster's namespaces."""
        return self.root / "kubeconfig"

    def describe(self) -> Description:
        """Read the description of the cluster that is up.

        Raises ClusterError when none is.
        """
        try:
            return Description(**json.loads((self.root / "cluster.json").read_text()))
        except FileNotFoundError:
            raise ClusterError("no cluster is up: run `make cluster` first") from None

    def publish(self, description: Description) -> None:
        """Write the description, atomically: whoever reads it finds a cluster that is up."""
        unfinished = self.root / ".cluster.json"
        unfinished.write_text(json.dumps(asdict(description), indent=2) + "\n")
        unfinished.rename(self.root / "cluster.json")

    def withdraw(self) -> None:
        """Remove the description: the cluster is no longer up."""
        (self.root / "cluster.json").unlink(missing_ok=True)

    def ports(self, **preferred: int) -> dict[str, int]:
        """Return one port per purpose: chosen once, the preferred one if it is free, and kept."""
        path = self.root / "ports.json"
        ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        for purpose, port in preferred.items():
            if purpose not in ports:
                ports[purpose] = _free_port(port, taken=set(ports.values()))
        path.write_text(json.dumps(ports))
        return {purpose: ports[purpose] for purpose in preferred}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands of this checkout away from the cluster meanwhile."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.root.with_suffix(".lock")
        with exclusive(path):
            yield
            if not self.root.exists():
                path.unlink()
                with suppress(OSError):  # not empty: another checkout's cluster is there
                    self.root.parent.rmdir()


def _free_port(preferred: int, taken: set[int]) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            if chosen not in taken:
                return chosen
    raise ClusterError("no free port on 127.0.0.1")
