"""Ingress, HTTPRoute and Service alone: whichever is asked for exists and no other, and what does not work is named."""

from typing import Any

import httpx
import pytest

from tests.cluster.state import Description
from tests.e2e.support.agent import call, initialize, wait_status
from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import Object, condition
from tests.e2e.support.waiting import wait_until


def _endpoint(shop: Shop, **endpoint: Any) -> None:
    absent = {"ingress": None, "httpRoute": None, "service": None, "url": None}
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"endpoint": absent | endpoint}})


def _routes(shop: Shop) -> list[str]:
    """The kinds of objects that lead to the host."""
    return [route["kind"] for route in shop.kube.list("ingresses,httproutes", shop.namespace)]


def _wait_exposed(shop: Shop, reason: str) -> Object:
    def probe() -> Object | None:
        found = condition(shop.host(), "Exposed")
        return found if found.get("reason") == reason else None

    return wait_until(probe, what=f"Exposed with the reason {reason}")


async def test_an_agent_works_through_a_gateway_and_the_ingress_is_gone(shop: Shop, gateway: Object) -> None:
    url, instance = shop.url(), shop.host()["metadata"]["uid"]
    assert _routes(shop) == ["Ingress"]
    # In between, nothing answers there: else what answers might still come by the Ingress.
    _endpoint(shop, type="Service")
    wait_status(url, None, 404, what="the Ingress routes no more")
    _endpoint(shop, type="HTTPRoute", httpRoute={"parentRefs": [gateway]})
    _wait_routes(shop, "HTTPRoute")
    wait_until(lambda: shop.url() == url, what="its URL is the same again")
    wait_until(
        lambda: initialize(url, None).headers.get("fairlead-instance") == instance,
        what="the Gateway routes",
    )
    result = await call(url, shop.token(), "execute_command", command="id -un")
    assert result["stdout"] == "deploy\n"


def test_service_alone_has_no_route_and_says_so(shop: Shop) -> None:
    url = shop.url()
    _endpoint(shop, type="Service")
    _wait_exposed(shop, "ServiceOnly")
    _wait_routes(shop)
    status = shop.host()["status"]
    assert status["url"].startswith(f"http://rh-web-01.{shop.namespace}.svc:")
    shop.wait_ready()
    wait_status(url, shop.token(), 404, what="nothing answers outside")


def test_a_certificate_that_does_not_exist_is_named_and_gates_nothing(shop: Shop) -> None:
    _endpoint(shop, type="Ingress", ingress={"host": "web-01.example.invalid", "tls": {"secretName": "absent-tls"}})
    found = _wait_exposed(shop, "SecretNotFound")
    assert "'absent-tls'" in found["message"]
    shop.wait_ready()


def test_a_gateway_that_does_not_exist_is_named_and_gates_nothing(shop: Shop) -> None:
    _endpoint(shop, type="HTTPRoute", httpRoute={"parentRefs": [{"name": "nowhere"}]})
    found = _wait_exposed(shop, "RouteNotAccepted")
    assert f"Gateway {shop.namespace}/nowhere" in found["message"]
    shop.wait_ready()
    wait_until(
        lambda: "RouteNotAccepted" in shop.kube.run("events", "-n", shop.namespace, "--for", "remotehost/web-01"),
        what="the Event",
    )


def test_what_the_gateways_controller_refuses_is_repeated(shop: Shop, gateway: Object) -> None:
    _endpoint(shop, type="HTTPRoute", httpRoute={"parentRefs": [gateway | {"sectionName": "no-such-listener"}]})
    found = _wait_exposed(shop, "RouteNotAccepted")
    assert "Accepted is False" in found["message"]


def test_without_any_gateway_there_is_no_route(shop: Shop) -> None:
    _endpoint(shop, type="HTTPRoute")
    found = _wait_exposed(shop, "NoGateway")
    assert "spec.endpoint.httpRoute.parentRefs" in found["message"]
    _wait_routes(shop)


def test_exposed_asks_the_url_of_an_http_route_too(shop: Shop, cluster: Description, gateway: Object) -> None:
    if not cluster.ingress_pod_host:
        pytest.skip("pods of this cluster can't reach the Gateway by a name")
    host = f"{shop.namespace}.{cluster.ingress_pod_host}"
    port = httpx.URL(cluster.ingress_url).port
    url = f"http://{host}:{port}/{shop.namespace}/web-01/mcp"
    _endpoint(shop, type="HTTPRoute", httpRoute={"parentRefs": [gateway], "host": host}, url=url)
    assert url in _wait_exposed(shop, "InsecureHTTP")["message"]


@pytest.mark.alone  # it asks for every path there is: younger hosts that ask for a place would have to wait
def test_another_namespace_gets_no_place_by_an_http_route_either(
    shared_shop: Shop, strangers_namespace: str, gateway: Object
) -> None:
    stranger = Shop(shared_shop.kube, shared_shop.installation, strangers_namespace, shared_shop.ssh_host)
    spec = shared_shop.host()["spec"]
    for name, path in (("same", f"/{shared_shop.namespace}/web-01"), ("root", "/")):
        endpoint = {"type": "HTTPRoute", "httpRoute": {"parentRefs": [gateway], "path": path}}
        metadata = {"name": name, "namespace": strangers_namespace}
        body = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "RemoteHost", "metadata": metadata}
        stranger.kube.apply(body | {"spec": spec | {"endpoint": endpoint}})

        def refused(name: str = name) -> bool:
            return condition(stranger.host(name), "Exposed").get("reason") == "EndpointConflict"

        wait_until(refused, what=f"EndpointConflict of {name}")
    assert _routes(stranger) == []
    stranger.kube.run("delete", "remotehosts", "--all", "-n", strangers_namespace)


def test_documents_about_the_endpoint_are_looked_for_in_its_own_pod(shop: Shop, gateway: Object) -> None:
    origin, _, path = shop.url().partition(f"/{shop.namespace}")
    path = f"/{shop.namespace}{path}"
    instance = shop.host()["metadata"]["uid"]
    for endpoint in ({"type": "Ingress"}, {"type": "HTTPRoute", "httpRoute": {"parentRefs": [gateway]}}):
        _endpoint(shop, **endpoint)
        _wait_routes(shop, str(endpoint["type"]))
        for document in ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration"):
            for about in (path, path.removesuffix("/mcp")):
                answer = _wait_ours(f"{origin}/.well-known/{document}{about}", instance)
                assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
        assert (
            "fairlead-instance" not in httpx.get(f"{origin}/.well-known/oauth-protected-resource", timeout=30).headers
        )


def _wait_routes(shop: Shop, *kinds: str) -> None:
    wait_until(lambda: _routes(shop) == [*kinds], what=f"there are {kinds or 'no routes'}")


def _wait_ours(url: str, instance: str) -> httpx.Response:
    def ours() -> httpx.Response | None:
        answer = httpx.get(url, timeout=30)
        return answer if answer.headers.get("fairlead-instance") == instance else None

    return wait_until(ours, what=f"{url} is routed")
