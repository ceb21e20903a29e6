"""Where a host's endpoint is: the spec's wishes on top of the operator's default."""

from collections.abc import Mapping
from dataclasses import dataclass

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.objects import Key
from fairlead_operator.settings import Settings

MCP_SUFFIX = "/mcp"


@dataclass(frozen=True)
class IngressRoute:
    """What the Ingress should say."""

    host: str
    """Empty: any host name."""
    path: str
    class_name: str
    tls_secret_name: str
    annotations: Mapping[str, str]

    @property
    def place(self) -> tuple[str, str]:
        """What no two hosts can share."""
        return (self.host, self.path)


@dataclass(frozen=True)
class Endpoint:
    """Where MCP is served."""

    path: str
    """Without a slash at the end; empty for the root. MCP answers at `<path>/mcp`."""
    route: IngressRoute | None
    """None: only the Service reaches it."""
    url: str | None
    """The URL for agents; None where nobody said under which name it can be reached."""


def resolve_endpoint(key: Key, spec: RemoteHostSpec, settings: Settings) -> Endpoint:
    """Where the host's endpoint is."""
    wish = spec.endpoint
    ingress = wish.ingress if wish else None
    default_path = settings.endpoint_path_template.format(namespace=key.namespace, name=key.name)
    path = (ingress.path if ingress and ingress.path else default_path).rstrip("/")
    explicit_url = wish.url.rstrip("/") if wish and wish.url else None
    if wish is None and not settings.has_default_endpoint:
        return Endpoint(path, None, None)
    own_host = ingress.host if ingress and ingress.host else None
    host = own_host or settings.endpoint_host
    tls = ingress.tls.secret_name if ingress and ingress.tls else ""
    # The default certificate is for the default domain, and an own domain says itself which one is its.
    if not tls and own_host is None:
        tls = settings.endpoint_tls_secret_name
    route = IngressRoute(
        host=host,
        path=path or "/",
        class_name=(ingress.class_name if ingress and ingress.class_name else settings.endpoint_class_name),
        tls_secret_name=tls,
        annotations={**settings.endpoint_annotations, **((ingress.annotations if ingress else None) or {})},
    )
    return Endpoint(path, route, explicit_url or _url(route, path, settings, default_host=own_host is None))


def _url(route: IngressRoute, path: str, settings: Settings, *, default_host: bool) -> str | None:
    if default_host and settings.endpoint_url_prefix:
        return settings.endpoint_url_prefix + path + MCP_SUFFIX
    if not route.host:
        return None
    scheme = "https" if route.tls_secret_name else "http"
    return f"{scheme}://{route.host}{path}{MCP_SUFFIX}"


def internal_url(key: Key, service: str, path: str, port: int) -> str:
    """The URL inside the cluster."""
    return f"http://{service}.{key.namespace}.svc:{port}{path}{MCP_SUFFIX}"
