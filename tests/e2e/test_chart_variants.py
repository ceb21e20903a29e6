"""Whatever the chart makes of its values the API server admits, and its pods also where Pod Security is strictest."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import build
from tests.cluster.state import Description
from tests.e2e.support.chart import render
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.waiting import wait_until

MONITORING = "servicemonitors.monitoring.coreos.com"
HERE = "{namespace}"
"""Stands for the test's namespace."""
PEERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}]
PLACEMENT: dict[str, Any] = {
    "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
    "nodeSelector": {"role": "infra"},
    "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
            }
        }
    },
    "priorityClassName": "system-cluster-critical",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one namespace": {"watchNamespaces": [HERE]},
    "without CRDs": {"crds": {"enabled": False}},
    "an account that exists": {"serviceAccount": {"create": False, "name": "default"}},
    "account annotated": {"serviceAccount": {"name": "mine", "annotations": {"example.com/role": "x"}}},
    "two replicas, disruption budget": {"replicas": 2, "podDisruptionBudget": {"enabled": True}},
    "disruption budget in percent": {"replicas": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": "50%"}},
    "monitored": {
        "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "one namespace, monitored": {"watchNamespaces": [HERE], "serviceMonitor": {"enabled": True}},
    "placed": PLACEMENT
    | {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "podLabels": {"team": "platform"},
        "podAnnotations": {"example.com/scrape": "true"},
    },
    "hosts' pods placed": {"sidecar": PLACEMENT | {"labels": {"team": "x"}, "annotations": {"example.com/a": "b"}}},
    "network policies": {"networkPolicy": {"enabled": True, "ingressFrom": PEERS, "metricsFrom": PEERS}},
    "no network policies": {"networkPolicy": {"enabled": False}},
    "endpoint": {"endpoint": {"host": "mcp.example.com", "tls": {"secretName": "mcp-tls"}, "className": "nginx"}},
    "pull secrets, other names": {
        "imagePullSecrets": [{"name": "pull"}],
        "nameOverride": "lead",
        "fullnameOverride": "fair",
        "logLevel": "debug",
        "logFormat": "text",
    },
}


def of(values: Any, namespace: str) -> Any:
    """The values with the test's namespace in them."""
    return json.loads(json.dumps(values).replace(HERE, namespace))


def pods(objects: list[Object], namespace: str) -> list[Object]:
    """The pods that the objects are, or make."""
    made = [o for o in objects if o["kind"] == "Pod"]
    for some in (o for o in objects if o["kind"] == "Deployment"):
        template = some["spec"]["template"]
        made.append({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": template["metadata"]})
    return [
        {
            **pod,
            "metadata": {**pod["metadata"], "name": f"variant-{number}", "namespace": namespace},
            # Their own account is not there, since nothing is kept.
            "spec": {**pod["spec"], "serviceAccountName": "default"},
        }
        for number, pod in enumerate(made)
    ]


def try_out(kube: Kube, objects: list[Object]) -> None:
    """Apply objects without keeping them; fields that the API server doesn't know are refused."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kube.run(
        "apply", "--dry-run=server", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=text
    )


@pytest.fixture(scope="module")
def monitoring(kube: Kube) -> Iterator[None]:
    """The Prometheus operator's CRDs; where they were not there before, they go afterwards."""
    if kube.get("crd", MONITORING) is not None:
        yield
        return
    source = str(build.prometheus_crds())
    kube.run("apply", "--server-side", "-f", source)
    kube.run("wait", "--for=condition=Established", "--timeout=60s", "-f", source)
    # The API server serves it a moment later, and tells of it later still.
    served = ("api-resources", "--api-group=monitoring.coreos.com", "--output=name", "--cached=false")
    wait_until(lambda: MONITORING in kube.run(*served, check=False).split(), what="the CRDs are served")
    yield
    kube.run("delete", "--wait=false", "-f", source)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_admitted(
    cluster: Description, kube: Kube, monitoring: None, admission_namespace: str, name: str
) -> None:
    objects = render(cluster.helm, namespace=admission_namespace, **of(VARIANTS[name], admission_namespace))
    assert objects
    try_out(kube, [o for o in objects if o["kind"] != "Pod"])
    # Of a Deployment the API server only warns; its pods are what Pod Security judges.
    try_out(kube, pods(objects, admission_namespace))


def test_pod_security_refuses_what_it_should(cluster: Description, kube: Kube, admission_namespace: str) -> None:
    (pod, *_) = pods(render(cluster.helm, namespace=admission_namespace), admission_namespace)
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    text = kube.refused(pod)
    assert 'violates PodSecurity "restricted:latest"' in text
