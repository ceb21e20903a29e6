"""Templates of host names: what they give to whom, and what nobody else gets."""

from typing import Any

import pytest

from fairlead_api.conditions import HostReason
from fairlead_operator.reconcile.default_endpoint import on_default_origin
from fairlead_operator.reconcile.endpoint import Endpoint, resolve_endpoint
from fairlead_operator.reconcile.objects import Host, Key, read_host
from fairlead_operator.reconcile.templates import Template
from fairlead_operator.settings import Settings
from tests.unit.operator.states import body
from tests.unit.operator.test_places import wanting, winners

NEEDED: dict[str, Any] = {"namespace": "fairlead-system", "sidecar_image": "sidecar:1"}
BY_HOST = Settings(**NEEDED, endpoint_host="{name}.{namespace}.mcp.example.com")
BY_NAMESPACE = Settings(**NEEDED, endpoint_host="{namespace}.mcp.example.com", endpoint_path_template="/{name}")
IN_FRONT = Settings(
    **NEEDED,
    endpoint_host="{name}.{namespace}.internal",
    endpoint_url_prefix="https://{name}.{namespace}.agents.example.com",
)


def resolved(host: Host, settings: Settings) -> Endpoint:
    assert host.spec is not None, host.invalid
    return resolve_endpoint(host.key, host.spec, settings)


def routed(namespace: str, name: str, created: int = 1, **http_route: Any) -> Host:
    """A host that asks for this HTTPRoute."""
    host = wanting(namespace, name, created)
    wish = {"parentRefs": [{"name": "g"}], **http_route}
    manifest = body(name=name, endpoint={"type": "HTTPRoute", "httpRoute": wish})
    metadata = {**manifest["metadata"], "namespace": namespace, "uid": host.uid}
    metadata["creationTimestamp"] = f"2026-01-{created:02}T00:00:00Z"
    return read_host(manifest | {"metadata": metadata})


@pytest.mark.parametrize("settings", [BY_HOST, BY_NAMESPACE, IN_FRONT], ids=["host", "namespace", "in-front"])
def test_no_name_that_is_given_to_another_namespace_is_given_away_not_even_before_it_is_taken(
    settings: Settings,
) -> None:
    victim = wanting("shop", "web-01", 2)
    given = resolved(victim, settings)
    assert given.route is not None
    names = {given.route.host, "web-01.shop.agents.example.com" if settings is IN_FRONT else given.route.host}
    for name in names:
        for path in ("/", "/web-01", "/web-01/mcp", "/evil/x"):
            for squatter in (
                wanting("evil", "squatter", 1, host=name, path=path),
                routed("evil", "squatter", 1, host=name, path=path),
            ):
                assert winners(settings, squatter) == set(), (name, path)
                assert winners(settings, victim, squatter) == {"shop/web-01"}


def test_an_http_route_competes_with_ingresses_for_the_same_place() -> None:
    settings = Settings(**NEEDED, endpoint_host="mcp.example.com")
    older, newer = routed("a", "older", 1, host="x.example.com"), wanting("a", "newer", 2, host="x.example.com")
    assert winners(settings, older, newer) == {"a/older", "a/newer"}  # each below its own path
    root = wanting("a", "root", 3, host="x.example.com", path="/")
    assert winners(settings, older, root) == {"a/older"}
    assert winners(settings, wanting("shop", "web-01", 2), routed("evil", "sq", 1, path="/shop/web-01")) == {
        "shop/web-01"
    }


def test_own_names_below_the_template_may_be_written_but_win_nothing() -> None:
    written = wanting("shop", "web-02", 1, host="web-01.shop.mcp.example.com", path="/")
    assert winners(BY_HOST, written) == {"shop/web-02"}
    assert winners(BY_HOST, written, wanting("shop", "web-01", 2)) == {"shop/web-01"}


@pytest.mark.parametrize("path", ["/.well-known", "/.well-known/openid-configuration/shop/web-01", "/.Well-Known/x"])
def test_paths_of_documents_about_others_are_nobodys(path: str) -> None:
    settings = Settings(**NEEDED, endpoint_host="mcp.example.com", endpoint_path_template="/mcp/{namespace}/{name}")
    manifest = body(endpoint={"type": "Ingress", "ingress": {"path": path}})
    refusal = resolved(read_host(manifest), settings).refusal
    assert refusal is not None
    assert refusal.reason is HostReason.ENDPOINT_CONFLICT


def test_a_name_that_is_too_long_for_dns_is_refused_and_a_long_one_is_not() -> None:
    settings = Settings(**NEEDED, endpoint_host="{name}-{namespace}.mcp.example.com")
    for namespace, reason in (("n" * 12, None), ("n" * 13, HostReason.DOMAIN_NAME_TOO_LONG)):
        refusal = resolved(wanting(namespace, "h" * 50), settings).refusal
        assert (refusal.reason if refusal else None) == reason
    assert resolved(wanting("n" * 63, "h" * 50), BY_HOST).refusal is None


ALLOWED = {"shop": ["shop.example.com", "*.apps.example.com"], "lab": []}


@pytest.mark.parametrize(
    ("namespace", "host", "allowed"),
    [
        ("shop", "shop.example.com", True),
        ("shop", "a.b.apps.example.com", True),
        ("shop", "apps.example.com", False),
        ("shop", "evilapps.example.com", False),
        ("shop", "x.shop.example.com", False),
        ("lab", "shop.example.com", False),
        ("other", "shop.example.com", False),
        ("other", None, True),
        ("other", "mcp.example.com", True),
    ],
)
def test_a_namespace_uses_its_domains_and_the_default_one(namespace: str, host: str | None, *, allowed: bool) -> None:
    settings = Settings(**NEEDED, endpoint_host="mcp.example.com", endpoint_allowed_domains=ALLOWED)
    for wish in (wanting, routed):
        asked: dict[str, Any] = {"path": f"/{namespace}"} | ({"host": host} if host else {})
        refusal = resolved(wish(namespace, "web-01", **asked), settings).refusal
        assert (refusal.reason if refusal else None) == (None if allowed else HostReason.DOMAIN_NOT_ALLOWED)


def test_where_domains_are_limited_nobody_gets_all_of_them_by_naming_none() -> None:
    settings = Settings(**NEEDED, endpoint_allowed_domains=ALLOWED)
    refusal = resolved(wanting("shop", "web-01", path="/shop/x"), settings).refusal
    assert refusal is not None
    assert "any host name" in refusal.message
    assert "shop.example.com, *.apps.example.com" in refusal.message


def test_a_template_tells_whose_a_text_is() -> None:
    both = Template("{name}-{namespace}.x")
    assert both.render(Key("shop", "web-01")) == "web-01-shop.x"
    assert both.gives_away("web-01-shop.x", "evil")
    assert not both.gives_away("web-01-shop.x", "shop")
    assert not both.gives_away("web-01-shop.y", "evil")
    assert not Template("fixed.x").gives_away("fixed.x", "evil")
    assert not Template("{name}+x").makes("aax")


def test_a_url_below_a_template_is_on_the_default_origin() -> None:
    assert on_default_origin("https://a.b.mcp.example.com/x/mcp", BY_HOST)
    assert on_default_origin("https://a.b.agents.example.com/mcp", IN_FRONT)
    for url in (
        "https://mcp.example.com/mcp",
        "https://a.b.mcp.example.com:8443/mcp",
        "https://a.b.c.mcp.example.com/mcp",
    ):
        assert not on_default_origin(url, BY_HOST)
