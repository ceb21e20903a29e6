"""The smallest objects that the API accepts, for tests to vary."""

from copy import deepcopy
from typing import Any

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

_HOST = {
    "apiVersion": "fairlead.dev/v1alpha1",
    "kind": "RemoteHost",
    "metadata": {"name": "web-01", "namespace": "shop", "uid": "u-1", "managedFields": []},
    "spec": {
        "address": "web-01.internal",
        "username": "deploy",
        "auth": {"type": "Secret", "secret": {"name": "web-01-ssh"}},
        "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [PUBLIC_KEY]}},
    },
}
_TOKEN = {
    "apiVersion": "fairlead.dev/v1alpha1",
    "kind": "McpToken",
    "metadata": {"name": "cursor", "namespace": "shop"},
    "spec": {"subject": "cursor-admin", "hosts": {"names": ["web-01"]}, "permissions": ["View"]},
}


def remote_host(**spec: Any) -> dict[str, Any]:
    """A RemoteHost; `spec` replaces or adds fields."""
    return _with(_HOST, spec)


def mcp_token(**spec: Any) -> dict[str, Any]:
    """An McpToken; `spec` replaces or adds fields."""
    return _with(_TOKEN, spec)


def _with(base: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    obj = deepcopy(base)
    obj["spec"].update(spec)
    return obj
