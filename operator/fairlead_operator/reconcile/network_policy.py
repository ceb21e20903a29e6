"""From a RemoteHost to the NetworkPolicy of its pod."""

import ipaddress
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.jumps import Hop
from fairlead_operator.reconcile.labels import host_labels, pod_selector
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.service import INTERNAL_PORT_NAME, PUBLIC_PORT_NAME
from fairlead_operator.settings import Settings

DNS_PORTS = (53, 5353)
"""What is asked for names; the second is where OpenShift's DNS pods listen behind their Service."""


def network_policy(
    host: Host, spec: RemoteHostSpec, hops: tuple[Hop, ...], settings: Settings
) -> dict[str, Any] | None:
    """Whom the pod may reach, and who may reach it; None: there should be no policy.

    The kubelet's probes come from the pod's own node, which no policy keeps out.

    Args:
        host: The RemoteHost.
        spec: Its spec.
        hops: The servers that are passed on the way to it.
        settings: The operator's settings.
    """
    if not settings.network_policy.enabled:
        return None
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": child_name(host.key.name),
            "namespace": host.key.namespace,
            "labels": host_labels(host.key.name),
            "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)],
        },
        "spec": {
            "podSelector": {"matchLabels": pod_selector(host.key.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _ingress(settings),
            "egress": _egress(spec, hops),
        },
    }


def _ingress(settings: Settings) -> list[dict[str, Any]]:
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.namespace}},
        "podSelector": {"matchLabels": settings.network_policy.operator_labels},
    }
    public: dict[str, Any] = {"ports": [_tcp(PUBLIC_PORT_NAME)]}
    if settings.network_policy.ingress_from:
        # The operator too: it sees for itself that the endpoint works.
        public["from"] = [operator, *settings.network_policy.ingress_from]
    internal = {"ports": [_tcp(INTERNAL_PORT_NAME)], "from": [operator, *settings.network_policy.metrics_from]}
    return [public, internal]


def _egress(spec: RemoteHostSpec, hops: tuple[Hop, ...]) -> list[dict[str, Any]]:
    """The first server on the way, and what tells its address; whatever lies behind it is reached through it."""
    address, port = (hops[0].target.address, hops[0].target.port) if hops else (spec.address, spec.port)
    written = spec.network_policy
    ports = (written.egress_ports if written else None) or (port,)
    server: dict[str, Any] = {"ports": [_tcp(number) for number in ports]}
    own = _as_network(address)
    if networks := (written.egress_cidrs if written else None) or own:
        server["to"] = [{"ipBlock": {"cidr": network}} for network in networks]
    if own:
        return [server]
    dns = [{"protocol": protocol, "port": number} for number in DNS_PORTS for protocol in ("UDP", "TCP")]
    return [server, {"ports": dns}]


def _as_network(address: str) -> tuple[str, ...]:
    """An IP address as a network of its own; nothing for a name."""
    try:
        return (str(ipaddress.ip_network(address)),)
    except ValueError:
        return ()


def _tcp(port: int | str) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
