"""Objects as users write them."""

from typing import Any

PIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3RvQtTBvcEuT4LhhLfNwZ6+Jz5Fh5mFQ4sEuKXgY5s"


def host(namespace: str, name: str = "web-01", **spec: Any) -> dict[str, Any]:
    """A RemoteHost that needs nothing else."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "RemoteHost",
        "metadata": {"name": name, "namespace": namespace, "labels": {"env": "prod"}},
        "spec": {
            "address": "web-01.internal",
            "username": "deploy",
            "auth": {"type": "Secret", "secret": {"name": f"{name}-ssh"}},
            "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [PIN]}},
            **spec,
        },
    }


def token(namespace: str, name: str = "agent", **spec: Any) -> dict[str, Any]:
    """An McpToken for all hosts of the namespace."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "McpToken",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"subject": name, "hosts": {"selector": {}}, "permissions": ["View", "Execute"], **spec},
    }


def authority(namespace: str, name: str = "fleet", **spec: Any) -> dict[str, Any]:
    """An SSHCertificateAuthority with a generated key."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "SSHCertificateAuthority",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "Generated", **spec},
    }


def certificate_auth(name: str = "fleet", **certificate: Any) -> dict[str, Any]:
    """The credentials of a host that certificates of this authority are made for."""
    return {"type": "Certificate", "certificate": {"authorityRef": {"name": name}, **certificate}}


def secret(namespace: str, name: str, **data: str) -> dict[str, Any]:
    """A Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": data,
    }
