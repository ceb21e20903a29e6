"""The admission policy that docs/security.md offers to clusters of several teams: the API server takes and obeys it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.operator.control_plane import ControlPlane
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, until

PAGE = Path(__file__).parents[3] / "docs" / "security.md"


@pytest.fixture
def tenant(plane: ControlPlane, cluster: Cluster) -> Iterator[Cluster]:
    """A namespace that the policy is for."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    policy = list(yaml.safe_load_all(example))
    plane.apply(*policy)
    plane.kubectl("label", "namespace", cluster.namespace, "fairlead-tenant=true")
    bad = host(cluster.namespace, "probe", networkPolicy={"egressPorts": [22]})
    until(lambda: _refusal(cluster, bad), "the policy is in force")
    yield cluster
    for some in policy:
        plane.kubectl("delete", some["kind"], some["metadata"]["name"])


def _refusal(cluster: Cluster, manifest: dict[str, Any]) -> str:
    """What somebody is told who would create it; empty: it is admitted."""
    try:
        cluster.plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(manifest))
    except AssertionError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"sidecar": {"annotations": {"example.com/inject": "true"}}}, "neither annotations nor labels"),
        ({"sidecar": {"labels": {"app": "shop"}}}, "neither annotations nor labels"),
        ({"sidecar": {"tolerations": [{"operator": "Exists"}]}}, "neither annotations nor labels"),
        ({"sidecar": {"priorityClassName": "system-node-critical"}}, "neither annotations nor labels"),
        ({"endpoint": {"type": "Ingress", "ingress": {"annotations": {"example.com/a": "b"}}}}, "no annotations here"),
        ({"endpoint": {"type": "HTTPRoute", "httpRoute": {"annotations": {"example.com/a": "b"}}}}, "no annotations"),
        ({"endpoint": {"type": "Ingress", "ingress": {"tls": {"secretName": "own"}}}}, "no tls here"),
        ({"networkPolicy": {"egressCIDRs": ["0.0.0.0/0"]}}, "spec.networkPolicy is not for hosts"),
    ],
    ids=["annotations", "labels", "tolerations", "priority", "Ingress", "HTTPRoute", "certificate", "network"],
)
def test_a_tenants_host_gets_no_power_over_others(tenant: Cluster, spec: dict[str, Any], sentence: str) -> None:
    assert sentence in _refusal(tenant, host(tenant.namespace, **spec))


def test_a_tenants_host_has_all_the_rest(tenant: Cluster) -> None:
    sidecar = {"resources": {"limits": {"memory": "128Mi"}}, "nodeSelector": {"zone": "a"}}
    endpoint = {"type": "Ingress", "ingress": {"host": "shop.example.com"}}
    assert _refusal(tenant, host(tenant.namespace, sidecar=sidecar, endpoint=endpoint)) == ""
    assert _refusal(tenant, host(tenant.namespace)) == ""
