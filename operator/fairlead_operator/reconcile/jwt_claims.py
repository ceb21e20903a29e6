"""What a JWT says of its McpToken, and how sidecars are told to judge it."""

from collections.abc import Iterable
from datetime import UTC

from fairlead_api.mcptoken import McpTokenSpec
from fairlead_operator.reconcile.endpoint import internal_url, resolve_endpoint
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host, Key, Token, expiration
from fairlead_operator.reconcile.token_rotation import Claims
from fairlead_operator.settings import Settings
from fairlead_sidecar.config import PUBLIC_PORT, Endpoint, JwtTrust

MOST_BYTES = 7 * 1024
"""Of a token: proxies keep 8 KiB for a header and more."""


def audiences(key: Key, path: str, public_url: str | None) -> tuple[str, ...]:
    """The URLs of a host's endpoint."""
    internal = internal_url(key, child_name(key.name), path, PUBLIC_PORT)
    return (internal,) if public_url is None else (internal, public_url)


def claims(token: Token, spec: McpTokenSpec, hosts: Iterable[Host], settings: Settings) -> Claims:
    """What a JWT for these hosts says."""
    urls: set[str] = set()
    for host in hosts:
        if host.spec is not None:
            endpoint = resolve_endpoint(host.key, host.spec, settings)
            urls.update(audiences(host.key, endpoint.path, endpoint.url))
    return Claims(
        issuer=settings.issuer,
        subject=spec.subject,
        client=str(token.key),
        audiences=tuple(sorted(urls)),
        expires=int(expiration(token.created, spec).astimezone(UTC).replace(microsecond=0).timestamp()),
    )


def jwt_trust(key: Key, endpoint: Endpoint, keys: tuple[dict[str, str], ...], issuer: str) -> JwtTrust:
    """What a host's sidecar takes for a JWT that is meant for it."""
    return JwtTrust(issuer=issuer, audiences=audiences(key, endpoint.path, endpoint.public_url), keys=keys)


def too_large(size: int, hosts: int) -> str:
    """What to do about a token that no header holds; empty: it fits."""
    if size <= MOST_BYTES:
        return ""
    return (
        f"A JWT that names the URLs of all {hosts} hosts takes {size} bytes, and proxies accept {MOST_BYTES} at most:"
        " take format Opaque, or several McpTokens with fewer hosts each. A token that there is already stays as it is."
    )
