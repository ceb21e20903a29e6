"""What tests ask the API server again and again, without a kubectl for each time: that is slow where machines are."""

import base64
import ssl
from pathlib import Path
from typing import Any

import httpx
import yaml

_CORE, _APPS, _NETWORKING = "api/v1", "apis/apps/v1", "apis/networking.k8s.io/v1"
_OURS = "apis/fairlead.dev/v1alpha1"
_PLACES = {
    "secret": (_CORE, "secrets"),
    "configmap": (_CORE, "configmaps"),
    "service": (_CORE, "services"),
    "deployment": (_APPS, "deployments"),
    "ingress": (_NETWORKING, "ingresses"),
    "networkpolicy": (_NETWORKING, "networkpolicies"),
    "httproutes.gateway.networking.k8s.io": ("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "events": ("apis/events.k8s.io/v1", "events"),
    "remotehost": (_OURS, "remotehosts"),
    "rh": (_OURS, "remotehosts"),
    "mcptoken": (_OURS, "mcptokens"),
    "sshca": (_OURS, "sshcertificateauthorities"),
}
"""Where the API server has objects, by what kubectl calls their kind."""


class Reader:
    """Reads objects as the user of a kubeconfig; for several threads."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        """`directory` gets the user's certificate, which Python takes from files only."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]

        def pem(data: str) -> str:
            return base64.b64decode(data).decode()

        context = ssl.create_default_context(cadata=pem(cluster["certificate-authority-data"]))
        certificate = directory / "reader.pem"
        certificate.touch(mode=0o600)
        certificate.write_text(pem(user["client-certificate-data"]) + pem(user["client-key-data"]))
        context.load_cert_chain(certificate)
        self._http = httpx.Client(base_url=cluster["server"], verify=context, timeout=60, trust_env=False)

    def one(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """An object; None where there is none, or no such kind."""
        return self._get(f"{_path(kind, namespace)}/{name}")

    def all(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        found = self._get(_path(kind, namespace)) or {"items": []}
        items: list[dict[str, Any]] = found["items"]
        return items

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def _get(self, path: str) -> dict[str, Any] | None:
        answer = self._http.get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found


def _path(kind: str, namespace: str) -> str:
    group, resource = _PLACES[kind]
    return f"/{group}/namespaces/{namespace}/{resource}"
