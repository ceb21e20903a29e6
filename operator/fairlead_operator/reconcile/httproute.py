"""From a RemoteHost's endpoint to its HTTPRoute (Gateway API), and what Gateways say of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.endpoint import ParentReference
from fairlead_operator.reconcile.labels import host_labels
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.routes import GatewayRoute, routed_paths
from fairlead_sidecar.config import PUBLIC_PORT

_NEEDED = ("Accepted", "ResolvedRefs")
_MAX_MESSAGE = 500


def http_route(host: Host, route: GatewayRoute) -> dict[str, Any]:
    """Routes the endpoint's paths to the public port, and to nothing else."""
    name = child_name(host.key.name)
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in routed_paths(route.path)]
    rule = {
        "matches": matches,
        # A stream lasts as long as its client likes. Gateways that have no such limit ignore it.
        "timeouts": {"request": "0s", "backendRequest": "0s"},
        "backendRefs": [{"name": name, "port": PUBLIC_PORT}],
    }
    spec: dict[str, Any] = {"parentRefs": [parent.to_manifest() for parent in route.parents], "rules": [rule]}
    if route.host:
        spec["hostnames"] = [route.host]
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": host.key.namespace,
        "labels": host_labels(host.key.name),
        "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)],
    }
    if route.annotations:
        metadata["annotations"] = dict(route.annotations)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": spec,
    }


def route_problem(applied: Mapping[str, Any], route: GatewayRoute) -> str:
    """What keeps Gateways from serving an HTTPRoute, as far as their controllers wrote it into its status.

    Returns:
        A sentence; empty: nothing is known to.
    """
    parents = (applied.get("status") or {}).get("parents") or []
    problems = []
    for parent in route.parents:
        namespace = parent.namespace or applied["metadata"]["namespace"]
        said = [entry for entry in parents if _is_about(entry, parent, namespace)]
        found = [problem for entry in said for problem in _problems(entry)]
        if not said:
            found = ["no controller has looked at the HTTPRoute: there is no such Gateway, or nobody serves its class"]
        problems += [f"Gateway {namespace}/{parent.name}: {problem}" for problem in found]
    text = "; ".join(problems)[:_MAX_MESSAGE]
    return f"{text}. Check parentRefs and host, and what the Gateway's listeners allow." if text else ""


def _is_about(entry: Mapping[str, Any], parent: ParentReference, namespace: str) -> bool:
    reference = entry.get("parentRef") or {}
    # A parent's namespace that is left out is the route's own, in the status as in the spec.
    return (reference.get("name"), reference.get("namespace", namespace), reference.get("sectionName")) == (
        parent.name,
        namespace,
        parent.section_name,
    )


def _problems(entry: Mapping[str, Any]) -> Iterator[str]:
    for condition in entry.get("conditions") or ():
        if condition.get("type") in _NEEDED and condition.get("status") == "False":
            said = f": {message}" if (message := condition.get("message")) else ""
            yield f"{condition['type']} is False, {condition.get('reason')}{said}"
