"""From a RemoteHost's endpoint to its Ingress."""

from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_operator.reconcile.labels import host_labels
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.routes import IngressRoute, routed_paths
from fairlead_operator.reconcile.service import PUBLIC_PORT_NAME


def ingress(host: Host, route: IngressRoute) -> dict[str, Any]:
    """Routes the endpoint's paths to the public port, and to nothing else."""
    name = child_name(host.key.name)
    backend = {"service": {"name": name, "port": {"name": PUBLIC_PORT_NAME}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in routed_paths(route.path)]
    rule: dict[str, Any] = {"http": {"paths": paths}}
    if route.host:
        rule["host"] = route.host
    spec: dict[str, Any] = {"rules": [rule]}
    if route.class_name:
        spec["ingressClassName"] = route.class_name
    if route.tls_secret_name:
        tls: dict[str, Any] = {"secretName": route.tls_secret_name}
        if route.host:
            tls["hosts"] = [route.host]
        spec["tls"] = [tls]
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": host.key.namespace,
        "labels": host_labels(host.key.name),
        "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)],
    }
    if route.annotations:
        metadata["annotations"] = dict(route.annotations)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
