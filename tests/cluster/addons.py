"""What runs in the cluster before anybody's workload: DNS, and traefik as the Ingress controller."""

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


def apply(kubectl: Path, kubeconfig: Path, manifests: Iterable[str]) -> None:
    """Apply manifests by server-side apply.

    Raises ClusterError with kubectl's message.
    """
    command = [str(kubectl), "--kubeconfig", str(kubeconfig), "apply", "--server-side", "--force-conflicts", "-f", "-"]
    text = "\n---\n".join(manifests)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl apply failed: {done.stderr.strip()}")


def _tls_secret(namespace: str, name: str, pair: Pair) -> str:
    data = {"tls.crt": _base64(pair.certificate), "tls.key": _base64(pair.key)}
    metadata = {"name": name, "namespace": namespace}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
