"""Whom a host's pod may reach: the first server on the way, and what tells its address."""

from typing import Any

import pytest

from fairlead_operator.reconcile.jumps import way
from fairlead_operator.reconcile.network_policy import network_policy
from fairlead_operator.reconcile.objects import read_host
from fairlead_operator.settings import Settings
from tests.unit.operator.states import PIN, body

SETTINGS = Settings.model_validate(
    {"namespace": "fairlead-system", "sidecar_image": "s:1", "network_policy": {"enabled": True}}
)
DNS = [{"protocol": protocol, "port": port} for port in (53, 5353) for protocol in ("UDP", "TCP")]


def policy(settings: Settings = SETTINGS, **spec: Any) -> dict[str, Any] | None:
    host = read_host(body(**spec))
    assert host.spec is not None, host.invalid
    others = {name: read_host(body(name=name, address=f"{name}.internal")) for name in ("bastion",)}
    made = network_policy(host, host.spec, way(host.key.name, host.spec, others.get), settings)
    return made["spec"] if made is not None else None


def egress(**spec: Any) -> list[dict[str, Any]]:
    made = policy(**spec)
    assert made is not None
    rules: list[dict[str, Any]] = made["egress"]
    return rules


def to(port: int, *networks: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port}]}
    return rule | ({"to": [{"ipBlock": {"cidr": network}} for network in networks]} if networks else {})


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.7", "192.0.2.7/32"), ("2001:db8::7", "2001:db8::7/128"), ("2001:DB8:0::7", "2001:db8::7/128")],
)
def test_an_ip_address_is_all_that_can_be_reached(address: str, network: str) -> None:
    assert egress(address=address, port=2222) == [to(2222, network)]


def test_of_a_name_only_the_port_is_known_and_names_are_asked_for() -> None:
    assert egress(address="web-01.internal") == [to(22), {"ports": DNS}]


def test_networks_that_are_written_bind_a_name_and_replace_an_address() -> None:
    written = {"egressCIDRs": ["10.0.0.0/8", "2001:db8::/32"]}
    assert egress(networkPolicy=written) == [to(22, "10.0.0.0/8", "2001:db8::/32"), {"ports": DNS}]
    assert egress(address="10.96.0.9", networkPolicy=written) == [to(22, "10.0.0.0/8", "2001:db8::/32")]


def test_a_service_in_front_may_have_another_port_than_the_pods_behind_it() -> None:
    assert egress(port=22, networkPolicy={"egressPorts": [2222]})[0] == to(2222)


def test_behind_jump_hosts_only_the_first_one_is_reached() -> None:
    inline = {
        "address": "192.0.2.1",
        "port": 2200,
        "username": "jump",
        "auth": {"type": "Secret", "secret": {"name": "jump"}},
        "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [PIN]}},
    }
    assert egress(address="10.0.0.7", jumpHosts=[inline]) == [to(2200, "192.0.2.1/32")]
    assert egress(address="10.0.0.7", jumpHosts=[{"hostRef": {"name": "bastion"}}]) == [to(22), {"ports": DNS}]


def test_mcp_servers_need_nothing_more_for_they_are_reached_through_the_host() -> None:
    server = {"name": "app", "type": "HTTP", "http": {"url": "http://10.9.9.9:8080/mcp"}}
    assert egress(address="192.0.2.7", mcpServers=[server]) == [to(22, "192.0.2.7/32")]


def test_where_they_are_switched_off_there_is_none() -> None:
    off = SETTINGS.model_copy(update={"network_policy": type(SETTINGS.network_policy)()})
    assert policy(off) is None


def test_the_internal_port_is_for_the_operator_alone_unless_metrics_are_read() -> None:
    made = policy()
    assert made is not None
    public, internal = made["ingress"]
    assert "from" not in public, "agents may come from anywhere"
    assert internal["ports"] == [{"protocol": "TCP", "port": "internal"}]
    (operator,) = internal["from"]
    assert operator["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "fairlead-system"}}
