"""Which object, if any, leads to a host's Service from outside."""

from typing import Any

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.endpoint import Endpoint
from fairlead_operator.reconcile.httproute import http_route
from fairlead_operator.reconcile.ingress import ingress
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.routes import GatewayRoute, IngressRoute


def route_manifest(host: Host, spec: RemoteHostSpec, endpoint: Endpoint, *, taken: bool) -> dict[str, Any] | None:
    """The Ingress or HTTPRoute that should exist; None: there should be neither.

    Args:
        host: The RemoteHost.
        spec: Its spec.
        endpoint: Where it wants to be served.
        taken: Whether another host has the place, or a part of it.
    """
    # While suspended there is no pod of ours, and whatever else the Service selects must not get anybody's tokens.
    if endpoint.refusal is not None or taken or spec.suspended:
        return None
    match endpoint.route:
        case IngressRoute() as route:
            return ingress(host, route)
        case GatewayRoute() as route:
            return http_route(host, route)
        case _:
            return None
