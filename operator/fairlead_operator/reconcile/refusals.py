"""What a host may not ask for, whatever others have."""

from dataclasses import dataclass

from fairlead_api.conditions import HostReason
from fairlead_operator.reconcile.default_endpoint import host_templates, on_default_host
from fairlead_operator.reconcile.objects import Key
from fairlead_operator.reconcile.routes import GatewayRoute, Route, components
from fairlead_operator.reconcile.templates import NAMESPACE
from fairlead_operator.settings import Settings

_MAX_NAME = 253
_MAX_LABEL = 63
_SHOWN_DOMAINS = 20


@dataclass(frozen=True)
class Refusal:
    """Why a host may not have the place that it asks for, as far as it alone is concerned."""

    reason: HostReason
    message: str


def refusal(key: Key, route: Route, settings: Settings) -> Refusal | None:
    """Why a host gets no route; None: it may have it unless another host has the place."""
    if isinstance(route, GatewayRoute) and not route.parents:
        return Refusal(
            HostReason.NO_GATEWAY,
            "No Gateway is named: set spec.endpoint.httpRoute.parentRefs, or the operator's default"
            " (endpoint.gateway.parentRefs of the chart).",
        )
    return _bad_name(route) or _not_allowed(key, route, settings) or _foreign(key, route, settings)


def _bad_name(route: Route) -> Refusal | None:
    if len(route.host) <= _MAX_NAME and all(len(label) <= _MAX_LABEL for label in route.host.split(".")):
        return None
    return Refusal(
        HostReason.DOMAIN_NAME_TOO_LONG,
        f"{route.host} is no domain name: at most {_MAX_NAME} characters, and {_MAX_LABEL} between two dots. Write a"
        " shorter one as host of spec.endpoint, or shorten the names of host or namespace.",
    )


def _not_allowed(key: Key, route: Route, settings: Settings) -> Refusal | None:
    by_default = settings.has_default_endpoint and on_default_host(route.host, settings)
    if not settings.endpoint_allowed_domains or by_default:
        return None
    allowed = settings.endpoint_allowed_domains.get(key.namespace, ())
    if any(_covers(domain, route.host) for domain in allowed):
        return None
    listed = ", ".join([*allowed[:_SHOWN_DOMAINS], *(["…"] if len(allowed) > _SHOWN_DOMAINS else [])])
    own = f"these domains: {listed}" if allowed else "no domain of its own"
    return Refusal(
        HostReason.DOMAIN_NOT_ALLOWED,
        f"The namespace {key.namespace} may not use {route.host or 'any host name'}: it has {own}, besides the"
        " operator's default endpoint. Write another host into spec.endpoint, or have endpoint.allowedDomains of the"
        " chart changed.",
    )


def _covers(domain: str, host: str) -> bool:
    return host.endswith(domain[1:]) if domain.startswith("*.") else host == domain


def _foreign(key: Key, route: Route, settings: Settings) -> Refusal | None:
    if components(route.path)[:1] == (".well-known",):
        return Refusal(
            HostReason.ENDPOINT_CONFLICT,
            "A path below /.well-known is about other paths: choose another one in spec.endpoint.",
        )
    if any(template.gives_away(route.host, key.namespace) for template in host_templates(settings)):
        return Refusal(
            HostReason.ENDPOINT_CONFLICT,
            f"The host name {route.host} is not for this namespace: choose another host in spec.endpoint.",
        )
    template = settings.endpoint_path_template
    if not on_default_host(route.host, settings) or not foreign(route.path, key.namespace, template):
        return None
    own = template[: template.index(NAMESPACE)] + key.namespace
    return Refusal(
        HostReason.ENDPOINT_CONFLICT,
        f"On this host name the path {route.path} is not for this namespace: choose a path that begins with {own}/, or"
        " another host, in spec.endpoint.",
    )


def foreign(path: str, namespace: str, template: str) -> bool:
    """Whether the path lies in, or around, what the template gives to another namespace.

    Only a template with a part `{namespace}` behind fixed ones says what is whose, as `/{namespace}/{name}` does.
    """
    parts = template.strip("/").split("/")
    if NAMESPACE not in parts:
        return False
    fixed = components("/".join(parts[: parts.index(NAMESPACE)]))
    if any("{" in part for part in fixed):
        return False
    asked = components(path)
    concerned = asked[: len(fixed)] == fixed[: len(asked)]
    return concerned and asked[: len(fixed) + 1] != (*fixed, namespace)
