"""The objects that a user writes, as short as a user would write them."""

from typing import Any

from tests.e2e.support.kube import Object

API_VERSION = "fairlead.dev/v1alpha1"


def remote_host(namespace: str, name: str, address: str, host_key: str, **spec: Any) -> Object:
    """A RemoteHost that logs in as `deploy` with the Secret `<name>-ssh`; `spec` replaces or adds fields."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RemoteHost",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "address": address,
            "username": "deploy",
            "auth": {"type": "Secret", "secret": {"name": f"{name}-ssh"}},
            "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [host_key]}},
            **spec,
        },
    }


def mcp_token(
    namespace: str, name: str, hosts: list[str] | Object, permissions: list[str] | None = None, **spec: Any
) -> Object:
    """An McpToken for hosts by name or by selector, with every permission unless told otherwise."""
    return {
        "apiVersion": API_VERSION,
        "kind": "McpToken",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "subject": f"{name}-agent",
            "hosts": {"names": hosts} if isinstance(hosts, list) else {"selector": hosts},
            "permissions": permissions or ["View", "Read", "Execute", "Write"],
            **spec,
        },
    }


def secret(namespace: str, name: str, **values: str) -> Object:
    """A Secret; underscores in the keys' names stand for dashes."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {key.replace("_", "-"): value for key, value in values.items()},
    }
