"""The place that the operator gives to a host that asks for none."""

from urllib.parse import urlsplit

from fairlead_operator.reconcile.objects import Key
from fairlead_operator.reconcile.templates import Template
from fairlead_operator.settings import Settings


def default_path(key: Key, settings: Settings) -> str:
    """Its path."""
    return Template(settings.endpoint_path_template).render(key)


def default_host(key: Key, settings: Settings) -> str:
    """Its host name; empty: any."""
    return Template(settings.endpoint_host).render(key)


def url_prefix(key: Key, settings: Settings) -> str:
    """What agents use in front of the path; empty: nothing changes it on the way."""
    return Template(settings.endpoint_url_prefix).render(key)


def host_templates(settings: Settings) -> tuple[Template, ...]:
    """What makes the host names of default endpoints: as Ingress and Gateway see them, and as agents do."""
    in_front = urlsplit(settings.endpoint_url_prefix).hostname
    return (Template(settings.endpoint_host), *([Template(in_front)] if in_front else []))


def on_default_host(name: str, settings: Settings) -> bool:
    """Whether a route for this host name receives what is meant for some default endpoint."""
    return any(template.makes(name) for template in host_templates(settings))


def canonical_host(key: Key, name: str, settings: Settings) -> str:
    """The host name, or the default one where it is what agents use for that."""
    in_front = urlsplit(url_prefix(key, settings)).hostname
    return default_host(key, settings) if in_front is not None and name == in_front else name


def on_default_origin(url: str, settings: Settings) -> bool:
    """Whether a URL leads to where some default endpoint is, whatever its path."""
    scheme, host, port = _origin(url)
    own = [f"{scheme}://{settings.endpoint_host}" for scheme in ("http", "https") if settings.endpoint_host]
    return any(
        (scheme, port) == (own_scheme, own_port) and Template(own_host).makes(host)
        for own_scheme, own_host, own_port in map(_origin, [*own, settings.endpoint_url_prefix])
        if own_host
    )


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
