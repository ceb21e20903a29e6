"""Jump hosts, by reference and written out, to the servers that are passed."""

from typing import Any

import pytest

from fairlead_api.conditions import HostReason
from fairlead_operator.reconcile.jumps import NoWay, way
from fairlead_operator.reconcile.objects import Host
from tests.unit.operator.states import PIN, host

INLINE = {
    "address": "10.0.0.1",
    "username": "jump",
    "auth": {"type": "Secret", "secret": {"name": "gate-ssh"}},
    "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [PIN]}},
}


def ref(name: str) -> dict[str, Any]:
    return {"hostRef": {"name": name}}


def fleet(**jumps: list[dict[str, Any]] | None) -> dict[str, Host]:
    """Hosts by name, each with its jump hosts."""
    return {
        name: host(name=name, address=f"{name}.internal", **({"jumpHosts": some} if some else {}))
        for name, some in jumps.items()
    }


def passed(hosts: dict[str, Host], name: str) -> list[str]:
    spec = hosts[name].spec
    assert spec is not None
    return [hop.target.address for hop in way(name, spec, hosts.get)]


def refusal(hosts: dict[str, Host], name: str) -> NoWay:
    with pytest.raises(NoWay) as raised:
        passed(hosts, name)
    return raised.value


def test_a_host_without_jump_hosts_is_reached_directly() -> None:
    assert passed(fleet(web=None), "web") == []


def test_jump_hosts_are_passed_in_order() -> None:
    hosts = fleet(web=[ref("a"), INLINE, ref("b")], a=None, b=None)
    assert passed(hosts, "web") == ["a.internal", "10.0.0.1", "b.internal"]


def test_a_referenced_hosts_own_jump_hosts_come_before_it() -> None:
    hosts = fleet(web=[ref("inner")], inner=[ref("outer"), INLINE], outer=[ref("edge")], edge=None)
    assert passed(hosts, "web") == ["edge.internal", "outer.internal", "10.0.0.1", "inner.internal"]


def test_a_hop_has_the_referenced_hosts_login() -> None:
    generated = host(name="a", port=2222, username="gate", auth={"type": "Generated"})
    authority = {"type": "Authority", "authority": {"publicKeys": [PIN]}}
    signed = host(name="b", hostKey=authority)
    hosts = {"a": generated, "b": signed, **fleet(web=[ref("a"), ref("b"), INLINE])}
    spec = hosts["web"].spec
    assert spec is not None
    first, second, third = way("web", spec, hosts.get)
    assert (first.target.port, first.target.username, first.secret) == (2222, "gate", "rh-a.key")
    assert (second.secret, second.host_key.type) == ("web-01-ssh", "Authority")
    assert (third.target.port, third.secret, third.host_key.type) == (22, "gate-ssh", "Pinned")


def test_a_suspended_host_is_a_way_all_the_same() -> None:
    hosts = fleet(web=[ref("a")], a=None) | {"a": host(name="a", suspended=True)}
    assert len(passed(hosts, "web")) == 1


def test_a_missing_jump_host_is_named() -> None:
    found = refusal(fleet(web=[ref("inner")], inner=[ref("gone")]), "web")
    assert found.reason is HostReason.JUMP_HOST_NOT_FOUND
    assert "'gone' (web -> inner -> gone) does not exist" in found.message


def test_a_jump_host_that_cannot_be_read_is_named_with_the_reason() -> None:
    found = refusal(fleet(web=[ref("a")]) | {"a": host(name="a", colour="red")}, "web")
    assert found.reason is HostReason.JUMP_HOST_NOT_FOUND
    assert "spec.colour" in found.message


@pytest.mark.parametrize(
    ("jumps", "path"),
    [
        ({"web": [ref("web")]}, "web -> web"),
        ({"web": [ref("b")], "b": [ref("web")]}, "web -> b -> web"),
        ({"web": [INLINE, ref("b")], "b": [ref("c")], "c": [ref("b")]}, "web -> b -> c -> b"),
    ],
)
def test_a_circle_is_shown(jumps: dict[str, Any], path: str) -> None:
    found = refusal(fleet(**jumps), "web")
    assert found.reason is HostReason.JUMP_CYCLE
    assert path in found.message


def test_eight_servers_are_passed_and_nine_are_too_many() -> None:
    chain = {f"h{index}": [ref(f"h{index + 1}")] for index in range(9)}
    hosts = fleet(**chain, h9=None)
    assert len(passed(hosts, "h1")) == 8
    assert refusal(hosts, "h0").reason is HostReason.TOO_MANY_JUMP_HOSTS
    wide = fleet(web=[*[INLINE] * 7, ref("a")], a=[INLINE])
    assert refusal(wide, "web").reason is HostReason.TOO_MANY_JUMP_HOSTS


def test_hosts_that_name_each_other_over_and_over_are_refused_at_once() -> None:
    hosts = fleet(**{f"h{index}": [ref(f"h{index + 1}")] * 8 for index in range(40)}, h40=None)
    assert refusal(hosts, "h0").reason is HostReason.TOO_MANY_JUMP_HOSTS
