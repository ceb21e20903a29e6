"""What hosts and defaults say of pods, and their NetworkPolicies, on a real API server."""

import json

from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until

ENABLED = json.dumps({"enabled": True, "operatorLabels": {"app.kubernetes.io/component": "operator"}})


def networks(cluster: Cluster) -> list[str]:
    """Where the pod's first server may be."""
    server = cluster.found("networkpolicy", "rh-web-01")["spec"]["egress"][0]
    return [peer["ipBlock"]["cidr"] for peer in server.get("to", [])]


def test_a_network_policy_is_there_before_the_pod_and_follows_the_address(
    cluster: Cluster, start_operator: StartOperator
) -> None:
    start_operator(FAIRLEAD_NETWORK_POLICY=ENABLED).until_working()
    cluster.plane.apply(host(cluster.namespace, address="192.0.2.7"))
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment exists")
    assert networks(cluster) == ["192.0.2.7/32"]
    cluster.plane.apply(host(cluster.namespace, address="192.0.2.8"))
    until(lambda: networks(cluster) == ["192.0.2.8/32"], "the policy follows")
    cluster.plane.apply(host(cluster.namespace, networkPolicy={"egressCIDRs": ["10.0.0.0/8", "2001:db8::/32"]}))
    until(lambda: networks(cluster) == ["10.0.0.0/8", "2001:db8::/32"], "the policy says what the host says")


def test_a_network_policy_that_somebody_opens_or_deletes_is_put_right(
    cluster: Cluster, start_operator: StartOperator
) -> None:
    start_operator(FAIRLEAD_NETWORK_POLICY=ENABLED).until_working()
    cluster.plane.apply(host(cluster.namespace, address="192.0.2.7"))
    until(lambda: cluster.get("networkpolicy", "rh-web-01"), "the policy exists")
    uid = cluster.found("networkpolicy", "rh-web-01")["metadata"]["uid"]
    opened = '{"spec": {"egress": [{}]}}'
    cluster.plane.kubectl("-n", cluster.namespace, "patch", "networkpolicy", "rh-web-01", "--type=merge", "-p", opened)
    until(lambda: networks(cluster) == ["192.0.2.7/32"], "it is closed again")
    cluster.delete("networkpolicy", "rh-web-01")
    until(lambda: (cluster.get("networkpolicy", "rh-web-01") or {}).get("metadata", {}).get("uid", uid) != uid, "back")
    cluster.delete("remotehost", "web-01")
    until(lambda: not cluster.get("networkpolicy", "rh-web-01"), "it goes with its host")


def test_a_peer_that_is_misspelt_in_the_chart_is_told_at_the_host(
    cluster: Cluster, start_operator: StartOperator
) -> None:
    misspelt = {"enabled": True, "ingressFrom": [{"namespaceSelector": {"matchLabel": {"team": "shop"}}}]}
    start_operator(FAIRLEAD_NETWORK_POLICY=json.dumps(misspelt)).until_working()
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.reason("remotehost", "web-01") == "ApplyFailed", "the host says that it is refused")
    told = [condition["message"] for condition in cluster.status("remotehost", "web-01")["conditions"]]
    assert any("namespaceSelector.matchLabel: field not declared in schema" in message for message in told), told
    assert not cluster.get("deployment", "rh-web-01"), "a pod runs without its policy"


def test_switched_off_they_are_taken_away(cluster: Cluster, start_operator: StartOperator) -> None:
    first = start_operator(FAIRLEAD_NETWORK_POLICY=ENABLED)
    first.until_working()
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("networkpolicy", "rh-web-01"), "the policy exists")
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment exists")
    first.stop()
    start_operator().until_working()
    until(lambda: not cluster.get("networkpolicy", "rh-web-01"), "the policy is gone")
    assert cluster.get("deployment", "rh-web-01")


def test_a_change_of_placement_makes_a_new_pod_and_a_change_of_anything_else_does_not(
    cluster: Cluster, operator: RunningOperator
) -> None:
    def generation() -> int:
        number: int = cluster.found("deployment", "rh-web-01")["metadata"]["generation"]
        return number

    def told() -> str:
        return str((cluster.configuration() or {}).get("description"))

    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment exists")
    before = generation()
    limits = {"commandTimeout": "90s"}
    cluster.plane.apply(host(cluster.namespace, description="other", username="other", port=2222, limits=limits))
    until(lambda: told() == "other", "the configuration is another")
    assert generation() == before
    sidecar = {"nodeSelector": {"role": "edge"}, "terminationGracePeriodSeconds": 60, "labels": {"team": "a"}}
    cluster.plane.apply(host(cluster.namespace, description="placed", sidecar=sidecar))
    until(lambda: generation() > before, "the Deployment is another")
    template = cluster.found("deployment", "rh-web-01")["spec"]["template"]
    assert template["spec"]["nodeSelector"] == {"role": "edge"}
    assert template["spec"]["terminationGracePeriodSeconds"] == 60
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["fairlead.dev/host"] == "web-01"
    assert (cluster.configuration() or {})["drain_timeout"] == 50


def test_what_the_api_server_refuses_of_a_default_is_told_with_the_field(
    cluster: Cluster, start_operator: StartOperator
) -> None:
    defaults = json.dumps(
        {
            "affinity": {
                "podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {}, "topologyKey": "a b"}]
                }
            }
        }
    )
    start_operator(FAIRLEAD_SIDECAR_DEFAULTS=defaults).until_working()
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.reason("remotehost", "web-01") == "ApplyFailed", "the host says so")
    conditions = cluster.found("remotehost", "web-01")["status"]["conditions"]
    (ready,) = (condition for condition in conditions if condition["type"] == "Ready")
    assert "spec.template.spec.affinity.podAffinity" in ready["message"]
    assert "topologyKey" in ready["message"]
