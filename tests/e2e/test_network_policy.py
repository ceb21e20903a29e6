"""The NetworkPolicies on a real cluster: they are there, and they mean the pods that they should.

The project's own cluster has nothing that enforces them: see docs/operations.md.
"""

import pytest

from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import Object
from tests.e2e.support.waiting import settled


def selected(shop: Shop, peer: Object) -> set[str]:
    """The names of the pods that a peer stands for."""
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    labels = ",".join(f"{key}={value}" for key, value in peer["podSelector"]["matchLabels"].items())
    return {pod["metadata"]["name"] for pod in shop.kube.list("pods", namespace, labels)}


@pytest.fixture
def policy(shared_shop: Shop) -> Object:
    """What the policy of the host's pod says."""
    found = shared_shop.kube.get("networkpolicy", "rh-web-01", shared_shop.namespace)
    assert found is not None
    spec: Object = found["spec"]
    return spec


def test_it_is_about_the_hosts_pod_and_no_other(shared_shop: Shop, policy: Object) -> None:
    labels = ",".join(f"{key}={value}" for key, value in policy["podSelector"]["matchLabels"].items())
    (pod,) = shared_shop.kube.list("pods", shared_shop.namespace, labels)
    assert pod["metadata"]["name"].startswith("rh-web-01-")
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}


def test_its_ports_are_those_of_the_pod(shared_shop: Shop, policy: Object) -> None:
    pod = shared_shop.only_pod()
    named = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == named


def test_health_and_metrics_are_for_the_operator_alone(shared_shop: Shop, policy: Object) -> None:
    (rule,) = (rule for rule in policy["ingress"] if rule["ports"][0]["port"] == "internal")
    (peer,) = rule["from"]

    def operators() -> set[str]:
        return {pod["metadata"]["name"] for pod in shared_shop.installation.pods()}

    found = settled(operators, what="the operator")
    assert selected(shared_shop, peer) == found != set()


def test_the_ssh_servers_port_and_dns_are_all_that_can_be_reached(shared_shop: Shop, policy: Object) -> None:
    server, dns = policy["egress"]
    assert server == {"ports": [{"port": 22, "protocol": "TCP"}]}, "its address is a name"
    assert {port["port"] for port in dns["ports"]} == {53, 5353}


def test_the_operator_has_one_too(shared_shop: Shop) -> None:
    found = shared_shop.kube.get("networkpolicy", "fairlead-operator", shared_shop.installation.namespace)
    assert found is not None
    assert found["spec"]["policyTypes"] == ["Ingress"]
