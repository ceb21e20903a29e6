from typing import Any

import pytest

from fairlead_operator.controllers.store import Store
from fairlead_operator.reconcile.endpoint import resolve_endpoint
from fairlead_operator.reconcile.objects import Host, Key, read_host
from fairlead_operator.reconcile.refusals import foreign
from fairlead_operator.reconcile.routing import route_manifest
from fairlead_operator.settings import Settings
from tests.unit.operator.states import SETTINGS, body

ANY_HOST = SETTINGS.model_copy(update={"endpoint_host": "", "endpoint_url_prefix": "https://mcp.example.com:8443"})
VICTIM = Key("shop", "web-01")


def wanting(namespace: str, name: str, created: int = 1, **ingress: Any) -> Host:
    """A host created on a day of January 2026, which asks for this Ingress; for nothing without."""
    manifest = body(name=name)
    if ingress:
        manifest["spec"]["endpoint"] = {"type": "Ingress", "ingress": ingress}
    metadata = {
        "namespace": namespace,
        "uid": f"{namespace}-{name}",
        "creationTimestamp": f"2026-01-{created:02}T00:00:00Z",
    }
    return read_host(manifest | {"metadata": manifest["metadata"] | metadata})


def winners(settings: Settings, *hosts: Host) -> set[str]:
    """The hosts that have an Ingress, whatever the order in which they are seen."""
    outcomes = []
    for order in (hosts, hosts[::-1]):
        store = Store(settings)
        for host in order:
            store.put_host(host)
        having = set()
        for host in hosts:
            assert host.spec is not None
            endpoint = resolve_endpoint(host.key, host.spec, settings)
            if route_manifest(host, host.spec, endpoint, taken=store.endpoint_winner(host.key) is not None):
                having.add(str(host.key))
        outcomes.append(having)
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


@pytest.mark.parametrize("settings", [SETTINGS, ANY_HOST], ids=["host", "any-host"])
@pytest.mark.parametrize(
    "wish",
    [
        {"path": "/shop/web-01"},
        {"path": "/shop/web-01/mcp"},
        {"path": "/shop/web-01/mcp/more"},
        {"path": "/Shop/web-01/mcp"},
        {"path": "/shop"},
        {"path": "/"},
        {"path": "/shop/web-01", "host": "mcp.example.com"},
        {"path": "/", "host": "mcp.example.com"},
    ],
    ids=str,
)
def test_another_namespace_gets_no_part_of_a_default_endpoint_not_even_before_it_exists(
    settings: Settings, wish: dict[str, str]
) -> None:
    assert winners(settings, wanting("shop", "web-01", 2), wanting("evil", "squatter", 1, **wish)) == {"shop/web-01"}


@pytest.mark.parametrize("wish", [{"path": "/shop/web-01"}, {"path": "/shop/web-01/mcp"}, {"path": "/"}], ids=str)
def test_where_the_default_is_any_host_no_written_host_name_gets_in_between(wish: dict[str, str]) -> None:
    evil = wanting("evil", "squatter", 1, host="alias.example.com", **wish)
    assert winners(ANY_HOST, wanting("shop", "web-01", 2), evil) == {"shop/web-01"}
    assert winners(SETTINGS, wanting("shop", "web-01", 2), evil) == {"shop/web-01", "evil/squatter"}


@pytest.mark.parametrize("settings", [SETTINGS, ANY_HOST], ids=["host", "any-host"])
def test_a_path_of_another_namespace_is_not_given_even_where_nobody_has_it(settings: Settings) -> None:
    assert winners(settings, wanting("evil", "squatter", path="/shop/anything")) == set()
    assert winners(settings, wanting("evil", "squatter", host="mcp.example.com", path="/shop/anything")) == set()
    assert winners(settings, wanting("evil", "modest", path="/evil/anything")) == {"evil/modest"}


def test_a_template_that_does_not_say_whose_a_path_is_still_gives_defaults_first() -> None:
    settings = SETTINGS.model_copy(update={"endpoint_path_template": "/{name}.{namespace}"})
    evil = wanting("evil", "squatter", 1, path="/web-01.shop/mcp")
    assert winners(settings, wanting("shop", "web-01", 2), evil) == {"shop/web-01"}
    assert winners(settings, evil) == {"evil/squatter"}


def test_writing_the_default_out_is_no_disadvantage() -> None:
    explicit = wanting("shop", "web-01", 2, host="mcp.example.com", path="/shop/web-01")
    assert winners(SETTINGS, explicit, wanting("shop", "web-02", 1, path="/shop/web-01/mcp")) == {"shop/web-01"}


def test_of_two_written_places_the_older_wins_and_neighbours_do_not_overlap() -> None:
    own = {"host": "own.example.com"}
    older, newer = wanting("a", "older", 1, path="/x/y", **own), wanting("b", "newer", 2, path="/x", **own)
    assert winners(SETTINGS, older, newer) == {"a/older"}
    assert winners(SETTINGS, older, wanting("b", "newer", 2, path="/X/Y/z", **own)) == {"a/older"}
    assert winners(SETTINGS, older, wanting("b", "newer", 2, path="/x/y2", **own)) == {"a/older", "b/newer"}
    assert winners(SETTINGS, older, wanting("b", "newer", 2, path="/x", host="b.example.com")) == {"a/older", "b/newer"}


def test_of_two_hosts_of_one_moment_one_wins() -> None:
    assert len(winners(SETTINGS, *(wanting("shop", name, path="/shop/same") for name in ("a", "b", "c")))) == 1


def test_a_suspended_host_keeps_its_place_without_an_ingress() -> None:
    suspended = wanting("shop", "web-01", 1, path="/shop/web")
    assert suspended.spec is not None
    manifest = body(name="web-01", endpoint={"type": "Ingress", "ingress": {"path": "/shop/web"}}, suspended=True)
    manifest["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert winners(SETTINGS, read_host(manifest), wanting("shop", "web-02", 2, path="/shop/web")) == set()


def test_a_host_that_can_no_longer_be_read_keeps_its_place_until_it_is_gone() -> None:
    store = Store(SETTINGS)
    store.put_host(wanting("shop", "web-01", 1, path="/shop/web"))
    store.put_host(wanting("shop", "web-02", 2, path="/shop/web"))
    unreadable = body(colour="red")
    unreadable["metadata"]["resourceVersion"] = "2"
    assert store.put_host(read_host(unreadable))
    assert store.endpoint_winner(Key("shop", "web-02")) == VICTIM
    store.remove_host(VICTIM)
    assert store.endpoint_winner(Key("shop", "web-02")) is None


def test_rivals_are_found_in_both_directions() -> None:
    store = Store(SETTINGS)
    store.put_host(wanting("shop", "web-01"))
    store.put_host(wanting("shop", "inner", path="/shop/web-01/deep/down"))
    store.put_host(wanting("shop", "outer", path="/shop"))
    assert set(store.rivals(VICTIM)) == {Key("shop", "inner"), Key("shop", "outer")}
    assert set(store.rivals(Key("shop", "outer"))) == {VICTIM, Key("shop", "inner")}
    store.put_host(wanting("evil", "any"))
    assert set(store.rivals(Key("evil", "any"))) == set()


@pytest.mark.parametrize(
    ("path", "template", "expected"),
    [
        ("/shop/web-01", "/{namespace}/{name}", False),
        ("/shop", "/{namespace}/{name}", False),
        ("/shop2/web-01", "/{namespace}/{name}", True),
        ("/", "/{namespace}/{name}", True),
        ("/mcp/other/x", "/mcp/{namespace}/{name}", True),
        ("/mcp/shop/x", "/mcp/{namespace}/{name}", False),
        ("/mcp", "/mcp/{namespace}/{name}", True),
        ("/elsewhere", "/mcp/{namespace}/{name}", False),
        ("/other/x", "/{name}/{namespace}", False),
        ("/other/x", "/{namespace}-{name}", False),
    ],
)
def test_a_path_is_foreign_where_the_template_gives_it_to_another_namespace(
    path: str, template: str, *, expected: bool
) -> None:
    assert foreign(path, "shop", template) is expected
