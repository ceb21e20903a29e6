"""Where a host's endpoint is: the spec's wishes on top of the operator's default."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.objects import Key
from fairlead_operator.settings import Settings

MCP_SUFFIX = "/mcp"
_NAMESPACE = "{namespace}"


@dataclass(frozen=True)
class IngressRoute:
    """What the Ingress should say."""

    host: str
    """Empty: any host name."""
    path: str
    class_name: str
    tls_secret_name: str
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class Endpoint:
    """Where MCP is served."""

    path: str
    """Without a slash at the end; empty for the root. MCP answers at `<path>/mcp`."""
    route: IngressRoute | None
    """None: only the Service reaches it."""
    url: str | None
    """The URL for agents; None where nobody said under which name it can be reached."""
    refusal: str = ""
    """Why the host may not have the place that it asks for; empty: it may, as far as it alone is concerned."""


def resolve_endpoint(key: Key, spec: RemoteHostSpec, settings: Settings) -> Endpoint:
    """Where the host's endpoint is."""
    wish = spec.endpoint
    ingress = wish.ingress if wish else None
    path = (ingress.path if ingress and ingress.path else default_path(key, settings)).rstrip("/")
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
    url = explicit_url or _url(route, path, settings, default_host=own_host is None)
    return Endpoint(path, route, url, _refusal(key, route, settings))


def default_path(key: Key, settings: Settings) -> str:
    """The path that the operator gives to a host that asks for none."""
    return settings.endpoint_path_template.format(namespace=key.namespace, name=key.name)


def components(path: str) -> tuple[str, ...]:
    """A path as Ingress controllers compare it, part by part.

    Without regard to case: some of them match without, once anybody asks for regular expressions.
    """
    return tuple(part.casefold() for part in path.split("/") if part)


def on_default_host(name: str, settings: Settings) -> bool:
    """Whether an Ingress for this host name receives what is meant for the default endpoint."""
    return name in {settings.endpoint_host, urlsplit(settings.endpoint_url_prefix).hostname}


def on_default_origin(url: str, settings: Settings) -> bool:
    """Whether a URL leads to where the operator's own default endpoint is, whatever its path."""
    own = [f"{scheme}://{settings.endpoint_host}" for scheme in ("http", "https") if settings.endpoint_host]
    return _origin(url) in map(_origin, [*own, settings.endpoint_url_prefix])


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def foreign(path: str, namespace: str, template: str) -> bool:
    """Whether the path lies in, or around, what the template gives to another namespace.

    Only a template with a part `{namespace}` behind fixed ones says what is whose, as `/{namespace}/{name}` does.
    """
    parts = template.strip("/").split("/")
    if _NAMESPACE not in parts:
        return False
    fixed = components("/".join(parts[: parts.index(_NAMESPACE)]))
    if any("{" in part for part in fixed):
        return False
    asked = components(path)
    concerned = asked[: len(fixed)] == fixed[: len(asked)]
    return concerned and asked[: len(fixed) + 1] != (*fixed, namespace)


def _refusal(key: Key, route: IngressRoute, settings: Settings) -> str:
    template = settings.endpoint_path_template
    if not on_default_host(route.host, settings) or not foreign(route.path, key.namespace, template):
        return ""
    own = template[: template.index(_NAMESPACE)] + key.namespace
    return (
        f"On this host name the path {route.path} is not for this namespace: choose a spec.endpoint.ingress.path that"
        f" begins with {own}/, or another spec.endpoint.ingress.host."
    )


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
