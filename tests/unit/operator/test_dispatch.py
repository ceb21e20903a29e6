from typing import Any

from fairlead_operator.controllers.store import Store
from fairlead_operator.handlers.dispatch import Dispatcher, Kind, Work
from fairlead_operator.reconcile.grants import Told
from fairlead_operator.reconcile.objects import Key
from fairlead_sidecar.config import Permission, TokenGrant
from tests.unit.operator.states import SETTINGS, body

HOST = Key("shop", "web-01")
TOKEN = Key("shop", "agent")


class Recorder:
    """A dispatcher, its store, and the work it asked for."""

    def __init__(self) -> None:
        self.store = Store(SETTINGS)
        self.work: list[Work] = []
        self.dispatcher = Dispatcher(self.store, self.work.append)

    def take(self) -> set[tuple[str, str]]:
        taken = {(str(work.kind), work.key.name) for work in self.work}
        self.work.clear()
        return taken


def token_body(version: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "agent",
            "namespace": "shop",
            "uid": "uid-agent",
            "generation": version,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-03-01T00:00:00Z",
        },
        "spec": {"subject": "agent", "hosts": {"selector": {}}, "permissions": ["View"], **spec},
    }


def test_a_token_concerns_the_hosts_that_it_is_for() -> None:
    some = Recorder()
    some.dispatcher.host_seen(body())
    some.dispatcher.host_seen(body(name="db-01"))
    some.take()
    some.dispatcher.token_seen(token_body(hosts={"names": ["web-01"]}))
    assert some.take() == {("McpToken", "agent"), ("RemoteHost", "web-01")}
    some.dispatcher.token_seen(token_body(2, hosts={"names": ["db-01"]}))
    assert some.take() == {("McpToken", "agent"), ("RemoteHost", "web-01"), ("RemoteHost", "db-01")}
    some.dispatcher.token_gone(TOKEN)
    assert some.take() == {("RemoteHost", "db-01")}


def test_an_older_version_of_an_object_is_no_news() -> None:
    some = Recorder()
    some.dispatcher.token_seen(token_body(2))
    some.take()
    some.dispatcher.token_seen(token_body(1))
    assert some.take() == set()


def test_no_configuration_is_rendered_before_each_token_was_looked_at() -> None:
    some = Recorder()
    some.dispatcher.host_seen(body())
    some.dispatcher.token_seen(token_body())
    host, token = some.store.host(HOST), some.store.token(TOKEN)
    assert host is not None
    assert token is not None
    assert some.store.grants_for(host) is None
    grant = TokenGrant(
        id="a", uid=token.uid, subject="agent", secret_sha256="0", permissions=frozenset({Permission.VIEW})
    )
    some.store.settle(token, (grant,))
    assert some.store.grants_for(host) == (Told(token.uid, token.created, (grant,)),)


def test_what_a_listing_no_longer_has_is_gone() -> None:
    some = Recorder()
    some.dispatcher.token_seen(token_body())
    some.dispatcher.listed(some.dispatcher.begin_listing(), {})
    assert some.store.token(TOKEN) is None


def test_what_comes_while_a_listing_is_under_way_stays() -> None:
    some = Recorder()
    listing = some.dispatcher.begin_listing()
    some.dispatcher.host_seen(body())
    some.dispatcher.listed(listing, {})
    assert some.store.host(HOST) is not None


def test_a_token_deleted_while_a_listing_is_under_way_does_not_come_back() -> None:
    some = Recorder()
    some.dispatcher.token_seen(token_body())
    listing = some.dispatcher.begin_listing()
    some.dispatcher.token_gone(TOKEN)
    some.dispatcher.listed(listing, {Kind.TOKEN: [token_body()]})
    assert some.store.token(TOKEN) is None


def test_a_host_that_leaves_its_place_makes_room_for_the_next() -> None:
    some = Recorder()
    endpoint = {"type": "Ingress", "ingress": {"path": "/shop/shared"}}
    some.dispatcher.host_seen(body(endpoint=endpoint))
    some.dispatcher.host_seen(body(name="web-02", endpoint=endpoint))
    second = Key("shop", "web-02")
    assert some.store.endpoint_winner(second) == HOST
    some.take()
    some.dispatcher.host_gone(HOST)
    assert (Kind.HOST, "web-02") in some.take()
    assert some.store.endpoint_winner(second) is None


def test_an_object_that_cannot_be_read_is_kept_with_the_reason() -> None:
    some = Recorder()
    some.dispatcher.host_seen(body(colour="red"))
    host = some.store.host(HOST)
    assert host is not None
    assert host.spec is None
    assert "spec.colour" in host.invalid
