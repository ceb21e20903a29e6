"""Who is worked on again when a jump host or a mounted Secret changes."""

from typing import Any

from fairlead_operator.reconcile.objects import Key
from tests.unit.operator.states import body
from tests.unit.operator.test_dispatch import Recorder


def jumping(name: str, *through: str, version: str = "1", **spec: Any) -> dict[str, Any]:
    jumps = [{"hostRef": {"name": other}} for other in through]
    seen = body(name=name, generation=int(version), **({"jumpHosts": jumps} if jumps else {}), **spec)
    seen["metadata"]["resourceVersion"] = version
    return seen


def auth(name: str) -> dict[str, Any]:
    return {"type": "Secret", "secret": {"name": name}}


def fleet() -> Recorder:
    """web-01 is behind inner, which is behind edge; db-01 is by itself."""
    some = Recorder()
    for seen in (
        jumping("web-01", "inner"),
        jumping("inner", "edge", auth=auth("inner-ssh")),
        jumping("edge", auth=auth("edge-ssh")),
        jumping("db-01", auth=auth("db-ssh")),
    ):
        some.dispatcher.host_seen(seen)
    some.take()
    return some


def hosts(some: Recorder) -> set[str]:
    return {name for _, name in some.take()}


def test_a_changed_jump_host_concerns_all_that_are_behind_it() -> None:
    some = fleet()
    some.dispatcher.host_seen(jumping("edge", version="2", auth=auth("edge-ssh"), port=2222))
    assert hosts(some) == {"edge", "inner", "web-01"}


def test_a_jump_host_that_goes_and_comes_concerns_those_that_name_it() -> None:
    some = fleet()
    some.dispatcher.host_gone(Key("shop", "inner"))
    assert hosts(some) == {"inner", "web-01", "edge"}, "edge too: fewer are behind it now"
    some.dispatcher.host_seen(jumping("inner", version="3"))
    assert hosts(some) == {"inner", "web-01"}


def test_a_host_that_is_suspended_concerns_those_on_its_way() -> None:
    some = fleet()
    some.dispatcher.host_seen(jumping("web-01", "inner", version="2", suspended=True))
    assert hosts(some) == {"web-01", "inner", "edge"}


def test_a_jump_hosts_new_status_concerns_nobody_else() -> None:
    some = fleet()
    seen = jumping("edge", auth=auth("edge-ssh"))
    seen["metadata"]["resourceVersion"] = "9"
    some.dispatcher.host_seen(seen)
    assert hosts(some) == {"edge"}


def test_a_jump_hosts_secret_concerns_all_whose_pods_mount_it() -> None:
    some = fleet()
    assert set(some.store.hosts_with_secret(Key("shop", "edge-ssh"))) == {
        Key("shop", name) for name in ("edge", "inner", "web-01")
    }
    some.dispatcher.host_seen(jumping("inner", version="2", auth=auth("inner-ssh")))
    assert set(some.store.hosts_with_secret(Key("shop", "edge-ssh"))) == {Key("shop", "edge")}
    assert set(some.store.hosts_with_secret(Key("elsewhere", "edge-ssh"))) == set()


def test_hosts_in_a_circle_are_found_once_each() -> None:
    some = Recorder()
    some.dispatcher.host_seen(jumping("a", "b"))
    some.dispatcher.host_seen(jumping("b", "a"))
    assert some.store.behind(Key("shop", "a")) == {Key("shop", "a"), Key("shop", "b")}


def test_secrets_with_values_concern_the_hosts_that_name_them() -> None:
    some = Recorder()
    reference = {"secretKeyRef": {"name": "app", "key": "token"}}
    password = {"name": "pw", "key": "password"}
    some.dispatcher.host_seen(jumping("a", environment={"variables": [{"name": "T", "valueFrom": reference}]}))
    some.dispatcher.host_seen(jumping("b", policy={"redact": [reference]}))
    some.dispatcher.host_seen(
        jumping("c", policy={"sudo": {"type": "Password", "passwordSecretRef": password}}),
    )
    assert set(some.store.hosts_with_secret(Key("shop", "app"))) == {Key("shop", "a"), Key("shop", "b")}
    assert set(some.store.hosts_with_secret(Key("shop", "pw"))) == {Key("shop", "c")}
    some.dispatcher.host_seen(jumping("a", version="2"))
    assert set(some.store.hosts_with_secret(Key("shop", "app"))) == {Key("shop", "b")}
