"""Somebody's cluster: the current context of the kubeconfig, used only when it was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.console import ClusterError, say
from tests.cluster.state import Description, State


def up(state: State) -> Description:
    """Describe the current context; nothing is changed in the cluster.

    The Ingress is where `FAIRLEAD_INGRESS_URL` says, of the class `FAIRLEAD_INGRESS_CLASS`. `FAIRLEAD_GATEWAY`
    may name a Gateway (`namespace/name`) that is reached at the same URL and takes HTTPRoutes of all namespaces.

    Raises ClusterError.
    """
    kubectl, helm = (_program(name) for name in ("kubectl", "helm"))
    context = _kubectl(kubectl, "config", "current-context")
    say(f"==> context: {context}; everything stays in namespaces of its own, tests that cause faults are left out")
    _kubectl(kubectl, "get", "--raw=/readyz")
    with state.locked():
        kubeconfig = state.kubeconfig
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(_kubectl(kubectl, "config", "view", "--minify", "--flatten"))
        description = Description(
            kind="current",
            context=context,
            kubeconfig=str(kubeconfig),
            kubectl=kubectl,
            helm=helm,
            ingress_class=os.environ.get("FAIRLEAD_INGRESS_CLASS", "traefik"),
            ingress_url=os.environ.get("FAIRLEAD_INGRESS_URL", "").rstrip("/"),
            ingress_tls_url=os.environ.get("FAIRLEAD_INGRESS_TLS_URL", "").rstrip("/"),
            ingress_ca=os.environ.get("FAIRLEAD_INGRESS_CA", ""),
            ingress_pod_host="",
            gateway=os.environ.get("FAIRLEAD_GATEWAY", ""),
            namespace_holder=0,
            faults=False,
        )
        state.publish(description)
    return description


def down(state: State) -> None:
    """Forget the context; the cluster is not ours to remove."""
    with state.locked():
        shutil.rmtree(state.root)


def pullable_images(names: tuple[str, ...]) -> dict[str, str]:
    """Return the references from which the cluster pulls: `IMAGE` with `{name}` replaced by each of the names.

    Raises ClusterError when `IMAGE` is unset or has no place for the name.
    """
    template = os.environ.get("IMAGE", "")
    if "{name}" not in template:
        raise ClusterError(
            "CLUSTER=current pulls its images: set IMAGE to where you pushed them, "
            "such as IMAGE='registry.example.com/fairlead/{name}:dev'"
        )
    return {name: template.replace("{name}", name) for name in names}


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ClusterError(f"{name} is missing: CLUSTER=current uses the one on your PATH")
    return str(Path(found).resolve())


def _kubectl(kubectl: str, *arguments: str) -> str:
    done = subprocess.run([kubectl, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.strip()
