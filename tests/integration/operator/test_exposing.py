"""What leads to hosts from outside, on a real API server: first without the Gateway API, then with it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster import build
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.control_plane import ControlPlane
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until

HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"
ROUTE: dict[str, Any] = {
    "type": "HTTPRoute",
    "httpRoute": {"parentRefs": [{"name": "public", "namespace": "gateways"}]},
}


@pytest.fixture
def gateway_api(plane: ControlPlane) -> Iterator[str]:
    """The path of the Gateway API's CRDs; they are taken away in the end."""
    path = str(build.gateway_api())
    yield path
    plane.kubectl("delete", "-f", path, "--ignore-not-found")


def exposed(cluster: Cluster) -> tuple[str, str]:
    return cluster.condition("remotehost", "web-01", "Exposed")


def said(cluster: Cluster, reason: str) -> int:
    """How often Events tell of it."""
    return [why for why, _ in cluster.events("web-01")].count(reason)


def test_http_routes_wait_for_the_gateway_api_and_all_else_goes_on(
    cluster: Cluster, operator: RunningOperator, gateway_api: str
) -> None:
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("ingress", "rh-web-01"), "the Ingress exists")
    cluster.plane.apply(host(cluster.namespace, endpoint=ROUTE))
    until(lambda: exposed(cluster) == ("False", "GatewayAPINotInstalled"), "it is said what is missing")
    until(lambda: not cluster.get("ingress", "rh-web-01"), "the Ingress, whose place is no longer claimed, is gone")
    assert cluster.get("deployment", "rh-web-01")
    until(lambda: said(cluster, "GatewayAPINotInstalled") > 0, "an Event tells of it")
    assert said(cluster, "GatewayAPINotInstalled") == 1

    cluster.plane.kubectl("apply", "--server-side", "-f", gateway_api)
    cluster.plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", gateway_api)
    until(lambda: cluster.get(HTTP_ROUTES, "rh-web-01"), "the HTTPRoute exists")
    route = cluster.found(HTTP_ROUTES, "rh-web-01")
    assert route["metadata"]["ownerReferences"][0]["uid"] == cluster.found("remotehost", "web-01")["metadata"]["uid"]
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    until(lambda: exposed(cluster)[1] != "GatewayAPINotInstalled", "the condition has moved on")

    # From now on it is watched like every other child.
    cluster.plane.kubectl("delete", HTTP_ROUTES, "rh-web-01", "-n", cluster.namespace)
    until(lambda: cluster.get(HTTP_ROUTES, "rh-web-01"), "the HTTPRoute is back")
    version = cluster.found(HTTP_ROUTES, "rh-web-01")["metadata"]["resourceVersion"]
    cluster.plane.apply(host(cluster.namespace, endpoint={"type": "Ingress"}))
    until(lambda: cluster.get("ingress", "rh-web-01"), "the Ingress is back")
    until(lambda: not cluster.get(HTTP_ROUTES, "rh-web-01"), f"the HTTPRoute of version {version} is gone")
    cluster.plane.apply(host(cluster.namespace, endpoint={"type": "Service"}))
    until(lambda: exposed(cluster) == ("False", "ServiceOnly"), "only the Service is left")
    until(lambda: not cluster.get("ingress", "rh-web-01"), "the Ingress is gone")


def _refused(cluster: Cluster, reason: str) -> bool:
    return exposed(cluster) == ("False", reason)


def test_each_host_gets_a_domain_of_its_own_and_a_namespace_only_what_is_allowed(
    cluster: Cluster, start_operator: StartOperator
) -> None:
    operator = start_operator(
        FAIRLEAD_ENDPOINT_HOST="{name}.{namespace}.mcp.example.com",
        FAIRLEAD_ENDPOINT_TLS_CLUSTER_ISSUER="letsencrypt",
        FAIRLEAD_ENDPOINT_ALLOWED_DOMAINS=f'{{"{cluster.namespace}": ["*.shop.example.com"]}}',
    )
    operator.until_working()
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("ingress", "rh-web-01"), "the Ingress exists")
    ingress = cluster.found("ingress", "rh-web-01")
    domain = f"web-01.{cluster.namespace}.mcp.example.com"
    assert ingress["spec"]["tls"] == [{"hosts": [domain], "secretName": "rh-web-01.tls"}]
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt"}
    (rule,) = ingress["spec"]["rules"]
    assert (rule["host"], [path["path"] for path in rule["http"]["paths"]]) == (domain, ["/"])
    until(
        lambda: (cluster.configuration() or {})["endpoint"]["public_url"] == f"https://{domain}/mcp", "it knows its URL"
    )

    refused = {"other.example.com": "DomainNotAllowed", "web-01.other.mcp.example.com": "EndpointConflict"}
    for name, reason in refused.items():
        cluster.plane.apply(host(cluster.namespace, endpoint={"type": "Ingress", "ingress": {"host": name}}))
        until(partial(_refused, cluster, reason), f"{name} is refused: {reason}")
        until(lambda: not cluster.get("ingress", "rh-web-01"), "there is no Ingress")
    own = {"host": "ssh.shop.example.com", "path": "/web"}
    cluster.plane.apply(host(cluster.namespace, endpoint={"type": "Ingress", "ingress": own}))
    until(lambda: cluster.get("ingress", "rh-web-01"), "an allowed domain is given")


def test_a_steady_http_route_is_not_written_again(
    cluster: Cluster, start_operator: StartOperator, gateway_api: str
) -> None:
    cluster.plane.kubectl("apply", "--server-side", "-f", gateway_api)
    cluster.plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", gateway_api)
    first = start_operator()
    first.until_working()
    cluster.plane.apply(host(cluster.namespace, endpoint=ROUTE))
    until(lambda: cluster.get(HTTP_ROUTES, "rh-web-01"), "the HTTPRoute exists")
    before = cluster.found(HTTP_ROUTES, "rh-web-01")["metadata"]["resourceVersion"]
    first.stop()
    second = start_operator()
    second.until_working()
    until(lambda: second.metric("fairlead_reconcile_duration_seconds_count") > 0, "the next operator has looked at it")
    assert cluster.found(HTTP_ROUTES, "rh-web-01")["metadata"]["resourceVersion"] == before
