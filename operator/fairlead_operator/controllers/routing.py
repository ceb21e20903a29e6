"""Brings a host's Ingress or HTTPRoute to what it should be, and finds out what keeps a route from being served."""

import logging
from typing import Any

from fairlead_api.conditions import HostReason
from fairlead_operator.cluster.applier import Applier, Claimant
from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.cluster.metadata import MetadataCache
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import HTTP_ROUTES, INGRESSES, resource_of
from fairlead_operator.reconcile.endpoint import Endpoint
from fairlead_operator.reconcile.httproute import route_problem
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.observed import REACHED, Exposure, SidecarView
from fairlead_operator.reconcile.routes import GatewayRoute, IngressRoute

logger = logging.getLogger(__name__)

ROUTES = (INGRESSES, HTTP_ROUTES)


class Routing:
    """What leads to hosts from outside."""

    def __init__(
        self, objects: Objects, applier: Applier, *, secrets: MetadataCache, http_routes: MetadataCache
    ) -> None:
        """Make a controller.

        Args:
            objects: Reads and writes.
            applier: Applies children.
            secrets: What is known of Secrets.
            http_routes: What is known of HTTPRoutes; it says whether the cluster serves them.
        """
        self._objects = objects
        self._applier = applier
        self._secrets = secrets
        self._http_routes = http_routes

    async def bring(self, host: Host, manifest: dict[str, Any] | None, claimant: Claimant) -> None:
        """Make the route as the manifest says, then remove one of the other kind; None: remove both.

        Raises:
            NameTaken: An object of the name is somebody else's.
            StillDeleting: An earlier object's child has the name still.
            ApiError: The API server refused it.
        """
        wanted = resource_of(manifest) if manifest is not None else None
        if wanted == HTTP_ROUTES and not self._http_routes.served:
            # The place of a former Ingress may be another host's by now: it goes although there is nothing else yet.
            wanted = manifest = None
        if manifest is not None:
            await self._applier.apply(manifest, claimant)
        for resource in ROUTES:
            if resource != wanted:
                await self._applier.remove(resource, host.key.namespace, child_name(host.key.name), claimant)

    async def problem(self, host: Host, endpoint: Endpoint | None, view: SidecarView) -> Exposure | None:
        """What keeps the host's route from being served, where it has one and its URL does not answer."""
        if endpoint is None or endpoint.refusal is not None:
            return None
        if isinstance(endpoint.route, IngressRoute):
            return self._certificate_problem(host, endpoint.route, view.exposure)
        if isinstance(endpoint.route, GatewayRoute):
            return await self._gateway_problem(host, endpoint.route, view.exposure)
        return None

    async def _gateway_problem(self, host: Host, route: GatewayRoute, exposure: Exposure | None) -> Exposure | None:
        if not self._http_routes.served:
            return Exposure(
                HostReason.GATEWAY_API_NOT_INSTALLED,
                "The cluster serves no HTTPRoutes (gateway.networking.k8s.io/v1): install the Gateway API's CRDs and a"
                " controller, or give the host an endpoint of type Ingress.",
            )
        if exposure is None or exposure.reason in REACHED:
            return None
        try:
            found = await self._objects.get(HTTP_ROUTES, host.key.namespace, child_name(host.key.name))
        except ApiError as error:
            logger.warning("looking for the HTTPRoute of %s failed: %s", host.key, error)
            return None
        problem = route_problem(found, route) if found is not None else ""
        return Exposure(HostReason.ROUTE_NOT_ACCEPTED, problem) if problem else None

    def _certificate_problem(self, host: Host, route: IngressRoute, exposure: Exposure | None) -> Exposure | None:
        name = route.tls_secret_name
        if not name or exposure is None or exposure.reason in REACHED:
            return None
        if self._secrets.get(host.key.namespace, name) is not None:
            return None
        return Exposure(
            HostReason.SECRET_NOT_FOUND,
            f"The Secret {name!r} with the endpoint's certificate (tls.crt, tls.key) does not exist in this namespace:"
            " create it, correct spec.endpoint.ingress.tls or the operator's default, or look with `kubectl describe"
            " certificate` why cert-manager has not filled it.",
        )
