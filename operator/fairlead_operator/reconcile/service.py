"""From a RemoteHost to its Service."""

from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_operator.reconcile.labels import host_labels, pod_selector
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_sidecar.config import INTERNAL_PORT, PUBLIC_PORT

PUBLIC_PORT_NAME = "http"
INTERNAL_PORT_NAME = "internal"


def service(host: Host) -> dict[str, Any]:
    """The Service in front of the host's pod: MCP, and the internal port that no Ingress routes to."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": child_name(host.key.name),
            "namespace": host.key.namespace,
            "labels": host_labels(host.key.name),
            "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)],
        },
        "spec": {
            "type": "ClusterIP",
            "selector": pod_selector(host.key.name),
            "ports": [
                {
                    "name": PUBLIC_PORT_NAME,
                    "port": PUBLIC_PORT,
                    "protocol": "TCP",
                    "targetPort": PUBLIC_PORT_NAME,
                    "appProtocol": "http",
                },
                {
                    "name": INTERNAL_PORT_NAME,
                    "port": INTERNAL_PORT,
                    "protocol": "TCP",
                    "targetPort": INTERNAL_PORT_NAME,
                    "appProtocol": "http",
                },
            ],
        },
    }
