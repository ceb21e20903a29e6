"""Which cluster: `CLUSTER=own|kind|current`, or the best that is possible here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tests.cluster.console import ClusterError
from tests.cluster.state import Kind


@dataclass(frozen=True)
class Choice:
    """A kind of cluster and the reason for it, as a half sentence."""

    kind: Kind
    reason: str


def choose(wanted: str) -> Choice:
    """Decide on the kind of cluster; `wanted` is what the person asked for, or empty.

    Raises ClusterError with one sentence that names what is missing.
    """
    if wanted not in {"", "own", "kind", "current"}:
        raise ClusterError(f"CLUSTER={wanted} is none of own, kind and current")
    if wanted == "current":
        return Choice("current", "CLUSTER=current asks for it")
    own = _obstacle_to_own()
    if wanted in {"", "own"} and own is None:
        return Choice("own", "this is Linux and you are root")
    if wanted == "own":
        raise ClusterError(f"CLUSTER=own is not possible: {own}")
    kind = _obstacle_to_kind()
    if wanted == "kind" and kind is None:
        return Choice("kind", "CLUSTER=kind asks for it")
    if wanted == "kind":
        raise ClusterError(f"CLUSTER=kind is not possible: {kind}")
    if kind is None:
        return Choice("kind", f"kind is at hand, and an own cluster is not possible: {own}")
    raise ClusterError(
        f"no cluster is possible here: for an own one, {own}; for kind, {kind}; "
        "to use the context of your kubeconfig, set CLUSTER=current"
    )


def container_engine() -> str | None:
    """Return the container engine that runs here, if any."""
    return next((engine for engine in ("docker", "podman") if _runs(engine)), None)


def _runs(engine: str) -> bool:
    """Say whether the engine answers: docker's command alone, without its daemon, builds nothing."""
    if shutil.which(engine) is None:
        return False
    return subprocess.run([engine, "info"], capture_output=True, timeout=30, check=False).returncode == 0


def _obstacle_to_own() -> str | None:
    if sys.platform != "linux":
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root"
    if shutil.which("go") is None:
        return "Go is missing, from which its programs are built (https://go.dev/dl)"
    return None


def _obstacle_to_kind() -> str | None:
    missing = [] if container_engine() else ["a running container engine (docker or podman)"]
    missing += [program for program in ("kind", "kubectl", "helm") if shutil.which(program) is None]
    return f"missing: {', '.join(missing)}" if missing else None
