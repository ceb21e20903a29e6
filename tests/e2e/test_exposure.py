"""The public URL: checked from inside the cluster, and never a reason to call a working host broken."""

from urllib.parse import urlsplit

from tests.cluster.state import Description
from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import Object, condition
from tests.e2e.support.waiting import wait_until


def _publish(shop: Shop, host: str, url: str) -> None:
    endpoint = {"type": "Ingress", "ingress": {"host": host}, "url": url}
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"endpoint": endpoint}})


def _exposed(shop: Shop, reason: str) -> Object:
    def probe() -> Object | None:
        found = condition(shop.host(), "Exposed")
        return found if found.get("reason") == reason else None

    return wait_until(probe, what=f"Exposed with the reason {reason}")


def test_a_public_url_without_tls_is_exposed_with_a_warning(shop: Shop, cluster: Description) -> None:
    host = f"{shop.namespace}.{cluster.ingress_pod_host}"
    port = urlsplit(cluster.ingress_url).port
    _publish(shop, host, f"http://{host}:{port}/{shop.namespace}/web-01/mcp")
    found = _exposed(shop, "InsecureHTTP")
    assert "TLS" in found["message"]
    shop.wait_ready()
    wait_until(
        lambda: "InsecureHTTP" in shop.kube.run("events", "-n", shop.namespace, "--for", "remotehost/web-01"),
        what="the Event",
    )


def test_a_url_that_leads_elsewhere_looks_like_one_where_nothing_answers(shop: Shop, cluster: Description) -> None:
    host = f"{shop.namespace}.{cluster.ingress_pod_host}"
    port = urlsplit(cluster.ingress_url).port
    messages = set()
    for path in (f"{host}:{port}/somewhere/else/mcp", f"{host}:1/mcp"):
        url = f"http://{path}"
        _publish(shop, host, url)

        def about_it(url: str = url) -> Object | None:
            found = condition(shop.host(), "Exposed")
            return found if url in found.get("message", "") else None

        found = wait_until(about_it, what=f"Exposed says something of {url}")
        assert (found["status"], found["reason"]) == ("False", "EndpointUnreachable")
        messages.add(found["message"].replace(url, ""))
    assert len(messages) == 1, "the operator must not tell what answers where"
    shop.wait_ready()


def test_a_url_that_the_cluster_cannot_reach_does_not_gate_ready(shop: Shop) -> None:
    found = _exposed(shop, "EndpointUnreachable")
    assert found["status"] != "True"
    shop.wait_ready()
