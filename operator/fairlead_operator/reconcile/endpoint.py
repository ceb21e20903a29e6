"""Where a host's endpoint is: the spec's wishes on top of the operator's default."""

from dataclasses import dataclass

from fairlead_api.endpoint import EndpointType, HttpRouteEndpoint, IngressEndpoint, IngressTls
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.default_endpoint import default_host, default_path, url_prefix
from fairlead_operator.reconcile.ingress_annotations import for_class, for_issuer
from fairlead_operator.reconcile.names import tls_secret_name
from fairlead_operator.reconcile.objects import Key
from fairlead_operator.reconcile.refusals import Refusal, refusal
from fairlead_operator.reconcile.routes import GatewayRoute, IngressRoute, Route
from fairlead_operator.reconcile.templates import Template
from fairlead_operator.settings import Settings

MCP_SUFFIX = "/mcp"


@dataclass(frozen=True)
class Endpoint:
    """Where MCP is served."""

    path: str
    """Without a slash at the end; empty for the root. MCP answers at `<path>/mcp`."""
    route: Route | None
    """None: only the Service reaches it."""
    url: str | None
    """The URL for agents; None where nobody said under which name it can be reached."""
    refusal: Refusal | None = None
    """Why the host may not have the place that it asks for; None: it may, as far as it alone is concerned."""
    service_only: bool = False
    """Whether nothing but the Service was asked for."""


def resolve_endpoint(key: Key, spec: RemoteHostSpec, settings: Settings) -> Endpoint:
    """Where the host's endpoint is."""
    wish = spec.endpoint
    member = (wish.ingress or wish.http_route or wish.service) if wish else None
    path = ((member.path if member else None) or default_path(key, settings)).rstrip("/")
    explicit_url = wish.url.rstrip("/") if wish and wish.url else None
    route: Route
    match wish.type if wish else settings.endpoint_type:
        case EndpointType.SERVICE:
            # What is in front of all Services, where the chart says that something is.
            everywhere = settings.endpoint_type is EndpointType.SERVICE and settings.endpoint_url_prefix
            url = url_prefix(key, settings) + path + MCP_SUFFIX if everywhere else None
            return Endpoint(path, None, explicit_url or url, service_only=True)
        case _ if wish is None and not settings.has_default_endpoint:
            return Endpoint(path, None, None)
        case EndpointType.HTTP_ROUTE:
            http_route = (wish.http_route if wish else None) or HttpRouteEndpoint()
            own_host = http_route.host
            route = _gateway_route(key, http_route, path or "/", settings)
        case EndpointType.INGRESS:
            ingress = (wish.ingress if wish else None) or IngressEndpoint()
            own_host = ingress.host
            route = _ingress_route(key, ingress, path or "/", settings)
    url = explicit_url or _url(key, route, path, settings, default=own_host is None)
    return Endpoint(path, route, url, refusal(key, route, settings))


def _gateway_route(key: Key, wish: HttpRouteEndpoint, path: str, settings: Settings) -> GatewayRoute:
    return GatewayRoute(
        host=wish.host or default_host(key, settings),
        path=path,
        annotations={**settings.endpoint_annotations, **(wish.annotations or {})},
        parents=wish.parent_refs or settings.endpoint_gateway_parent_refs,
    )


def _ingress_route(key: Key, wish: IngressEndpoint, path: str, settings: Settings) -> IngressRoute:
    tls = wish.tls
    if tls is None and wish.host is None:
        # The default certificate is for the default domain, and an own domain says itself which one is its.
        tls = _default_tls(key, settings)
    class_name = wish.class_name or settings.endpoint_class_name
    controller = settings.endpoint_controller if class_name == settings.endpoint_class_name else ""
    own = {**for_class(class_name, controller), **for_issuer(tls)}
    return IngressRoute(
        host=wish.host or default_host(key, settings),
        path=path,
        annotations={**own, **settings.endpoint_annotations, **(wish.annotations or {})},
        class_name=class_name,
        tls_secret_name=(tls.secret_name or tls_secret_name(key.name)) if tls else "",
    )


def _default_tls(key: Key, settings: Settings) -> IngressTls | None:
    name, issuer = settings.endpoint_tls_secret_name, settings.endpoint_tls_cluster_issuer
    if not name and not issuer:
        return None
    return IngressTls(secret_name=Template(name).render(key) or None, cluster_issuer=issuer or None)


def _url(key: Key, route: Route, path: str, settings: Settings, *, default: bool) -> str | None:
    if default and settings.endpoint_url_prefix:
        return url_prefix(key, settings) + path + MCP_SUFFIX
    if not route.host:
        return None
    # TLS of a Gateway is its listeners' business, which the operator does not see: it is what a Gateway should have.
    plain = isinstance(route, IngressRoute) and not route.tls_secret_name
    return f"{'http' if plain else 'https'}://{route.host}{path}{MCP_SUFFIX}"


def internal_url(key: Key, service: str, path: str, port: int) -> str:
    """The URL inside the cluster."""
    return f"http://{service}.{key.namespace}.svc:{port}{path}{MCP_SUFFIX}"
