"""What a RemoteHost says of its pod, where it runs and whom it may reach, is judged at `kubectl apply`."""

from typing import Any

import pytest

from tests.e2e.support.admission import admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
EVERYTHING = {
    "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"cpu": 1, "memory": "512Mi"}},
    "nodeSelector": {"kubernetes.io/os": "linux", "role": ""},
    "tolerations": [
        {"operator": "Exists"},
        {"key": "edge", "value": "a", "effect": "NoSchedule"},
        {"key": "edge", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]}}
            ],
        },
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": {"app": "cache"}},
                    "namespaces": ["cache"],
                    "topologyKey": "topology.kubernetes.io/zone",
                }
            ]
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "podAffinityTerm": {
                        "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                        "namespaceSelector": {},
                        "topologyKey": "kubernetes.io/hostname",
                    },
                }
            ]
        },
    },
    "priorityClassName": "system-cluster-critical",
    "labels": {"team": "platform", "app.kubernetes.io/version": "1"},
    "annotations": {"example.com/note": "any text, even {braces}"},
    "terminationGracePeriodSeconds": 3600,
}


@pytest.fixture
def host(admission_namespace: str) -> Object:
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY)


def node_requirement(**requirement: Any) -> Object:
    terms = [{"matchExpressions": [requirement]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("spec.sidecar", {"nodeSelector": {}}, "is empty: add an entry, or remove the field"),
        ("spec.sidecar", {"nodeSelector": {"a b": "c"}}, "has a key that is no label key"),
        ("spec.sidecar", {"nodeSelector": {"role": "a b"}}, "must be a label value"),
        ("spec.sidecar", {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "with operator Exists"),
        ("spec.sidecar", {"tolerations": [{"value": "b"}]}, "set operator to Exists, or add the key"),
        ("spec.sidecar", {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "is for effect NoExecute only"),
        ("spec.sidecar", {"tolerations": [{"key": "a", "effect": "Never"}]}, 'supported values: "NoSchedule"'),
        ("spec.sidecar", node_requirement(key="a", operator="In"), "the others need them"),
        ("spec.sidecar", node_requirement(key="a", operator="Exists", values=["b"]), "take no values"),
        ("spec.sidecar", node_requirement(key="a", operator="Gt", values=["b"]), "exactly one value, a number"),
        ("spec.sidecar", {"affinity": {"nodeAfinity": {}}}, 'unknown field "spec.sidecar.affinity.nodeAfinity"'),
        ("spec.sidecar", {"priorityClassName": "High Priority"}, "must be the name of an object"),
        ("spec.sidecar", {"labels": {"fairlead.dev/host": "other"}}, "may not set fairlead.dev/..."),
        ("spec.sidecar", {"labels": {"app.kubernetes.io/component": "x"}}, "that Fairlead sets itself: remove them"),
        ("spec.sidecar", {"annotations": {"fairlead.dev/synced-for": "x"}}, "those are Fairlead's own, remove them"),
        ("spec.sidecar", {"annotations": {"a b": "c"}}, "has a key that is no annotation key"),
        ("spec.sidecar", {"terminationGracePeriodSeconds": 14}, "should be greater than or equal to 15"),
        ("spec.sidecar", {"terminationGracePeriodSeconds": 3601}, "should be less than or equal to 3600"),
        ("spec.networkPolicy", {}, "is empty: set egressCIDRs, or remove it"),
        ("spec.networkPolicy", {"egressCIDRs": []}, "is empty: add an entry, or remove the field"),
        ("spec.networkPolicy", {"egressCIDRs": ["10.0.0.7"]}, "must be a network such as 10.0.0.0/8"),
        ("spec.networkPolicy", {"egressCIDRs": ["10.0.0.7/8"]}, "without bits behind the prefix"),
        ("spec.networkPolicy", {"egressPorts": [0]}, "should be greater than or equal to 1"),
    ],
)
def test_a_bad_pod_is_refused_with_what_to_change(
    kube: Kube, host: Object, path: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(kube, changed(host, path, value))


def test_all_that_may_be_said_of_a_pod_is_admitted(kube: Kube, host: Object) -> None:
    kept = admitted(kube, changed(host, "spec.sidecar", EVERYTHING))["spec"]["sidecar"]
    # Equal is what a toleration means that does not say how it compares.
    assert [toleration["operator"] for toleration in kept.pop("tolerations")] == ["Exists", "Equal", "Exists"]
    assert kept == {key: value for key, value in EVERYTHING.items() if key != "tolerations"}


@pytest.mark.parametrize(
    "policy",
    [{"egressCIDRs": ["10.0.0.0/8", "2001:db8::/32"]}, {"egressPorts": [22, 2222]}],
    ids=str,
)
def test_networks_and_ports_of_the_first_server_are_admitted(kube: Kube, host: Object, policy: Object) -> None:
    assert admitted(kube, changed(host, "spec.networkPolicy", policy))["spec"]["networkPolicy"] == policy
