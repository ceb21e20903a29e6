"""What runs in the cluster before anybody's workload: DNS, and traefik for Ingresses and the Gateway API."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from string import Template

from tests.cluster.console import ClusterError
from tests.cluster.pki import Pair

INGRESS_HOST = "ingress.test"
"""Pods reach the Ingress controller by this name and by all names below it; `.test` never exists outside (RFC 6761)."""

GATEWAY = "traefik/traefik"
"""Namespace and name of the Gateway."""

_APPLY = ("apply", "--server-side", "--force-conflicts", "-f")
_PING_PORT = 8082
_MANIFESTS = Path(__file__).parent / "manifests"


class _Manifest(Template):
    """Placeholders in capitals only, so that a Corefile's own dollar signs and braces stay as they are."""

    idpattern = "(?-i:[A-Z_]+)"


def manifest(name: str, **values: object) -> str:
    """Return the manifest of that name with its placeholders filled.

    `$DIGEST` changes with all the rest: as an annotation of pods it makes new ones when their configuration changes.
    """
    template = (_MANIFESTS / f"{name}.yaml").read_text()
    digest = hashlib.sha256(f"{template}{sorted(values.items())}".encode()).hexdigest()[:16]
    return _Manifest(template).substitute({key.upper(): value for key, value in values.items()}, DIGEST=digest)


def ingress_controller(image: str, *, http: int, https: int, certificate: Pair) -> list[str]:
    """Return the manifests of traefik, listening on two ports of the node, with a certificate for the second."""
    traefik = manifest("traefik", image=image, http_port=http, https_port=https, ping_port=_PING_PORT)
    return [traefik, _tls_secret("traefik", "traefik-certificate", certificate)]


def gateway(*, http: int, https: int) -> str:
    """Return the manifest of the Gateway that traefik serves at the same ports, for routes of all namespaces."""
    return manifest("gateway", http_port=http, https_port=https)


def apply(kubectl: Path, kubeconfig: Path, manifests: Iterable[str]) -> None:
    """Apply manifests by server-side apply.

    Raises ClusterError with kubectl's message.
    """
    _run(kubectl, kubeconfig, *_APPLY, "-", stdin="\n---\n".join(manifests))


def gateway_crds(kubectl: Path, kubeconfig: Path, source: str, *, version: str) -> None:
    """Apply the CRDs of the Gateway API, in a file or at a URL, and wait for them, unless this version is there.

    Raises ClusterError with kubectl's message.
    """
    bundle = r"{.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version}"
    query = ("get", "crd", "httproutes.gateway.networking.k8s.io", "--ignore-not-found", "-o", f"jsonpath={bundle}")
    if _run(kubectl, kubeconfig, *query) == f"v{version}":
        return
    _run(kubectl, kubeconfig, *_APPLY, source)
    _run(kubectl, kubeconfig, "wait", "--for=condition=Established", "--timeout=90s", "-f", source)


def _run(kubectl: Path, kubeconfig: Path, *arguments: str, stdin: str = "") -> str:
    command = [str(kubectl), "--kubeconfig", str(kubeconfig), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _tls_secret(namespace: str, name: str, pair: Pair) -> str:
    data = {"tls.crt": _base64(pair.certificate), "tls.key": _base64(pair.key)}
    metadata = {"name": name, "namespace": namespace}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
