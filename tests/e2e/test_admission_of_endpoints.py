"""Bad endpoints are refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host
from tests.e2e.test_admission_of_hosts import KEY

GATEWAY = {"name": "public", "namespace": "gateways", "sectionName": "https"}


@pytest.fixture
def host(admission_namespace: str) -> Object:
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY)


def ingress(**fields: Any) -> Object:
    return {"type": "Ingress", "ingress": fields}


def http_route(**fields: Any) -> Object:
    return {"type": "HTTPRoute", "httpRoute": fields}


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ({"type": "HTTPRoute", "ingress": {}}, "ingress belongs to type Ingress only: remove ingress"),
        ({"type": "Service", "httpRoute": {}}, "httpRoute belongs to type HTTPRoute only: remove httpRoute"),
        ({"type": "Ingress", "service": {}}, "service belongs to type Service only: remove service"),
        (http_route(parentRefs=[]), "should have at least 1 items"),
        (http_route(parentRefs=[GATEWAY] * 5), "must have at most 4 items"),
        (http_route(parentRefs=[{"namespace": "gateways"}]), "parentRefs[0].name: Required value"),
        (http_route(parentRefs=[GATEWAY | {"namespace": "a.b"}]), "must be the name of a namespace"),
        (http_route(parentRefs=[GATEWAY | {"name": "A"}]), "must be the name of an object"),
        (http_route(parentRefs=[GATEWAY | {"port": 80}]), 'unknown field "spec.endpoint.httpRoute.parentRefs[0].port"'),
        (http_route(tls={"secretName": "x"}), 'unknown field "spec.endpoint.httpRoute.tls"'),
        (http_route(host="*.example.com"), "must be a domain name such as mcp.example.com"),
        (http_route(path="/.well-known/oauth-protected-resource/x"), "may not begin with /.well-known"),
        (http_route(annotations={"fairlead.dev/x": "y"}), "those are Fairlead's own, remove them"),
        (ingress(path="/.well-known"), "may not begin with /.well-known"),
        ({"type": "Service", "service": {"path": "/.well-known/x"}}, "may not begin with /.well-known"),
        ({"type": "Service", "service": {"path": "web"}}, "must be a URL path such as /shop/web-01"),
        (ingress(tls={}), "name a secretName that exists, or an issuer or clusterIssuer"),
        (ingress(tls={"issuer": "a", "clusterIssuer": "b"}), "names two issuers: remove issuer or clusterIssuer"),
        (ingress(tls={"issuer": "A b"}), "must be the name of an object"),
    ],
    ids=str,
)
def test_a_bad_endpoint_is_refused_with_a_sentence(kube: Kube, host: Object, endpoint: Object, sentence: str) -> None:
    assert sentence in refusal(kube, changed(host, "spec.endpoint", endpoint))


@pytest.mark.parametrize(
    "endpoint",
    [
        {"type": "HTTPRoute"},
        {"type": "Service"},
        {"type": "Service", "service": {"path": "/"}, "url": "https://ssh.example.com/mcp"},
        http_route(parentRefs=[GATEWAY, {"name": "own"}], host="a.example.com", path="/", annotations={"a/b": "c"}),
        ingress(tls={"clusterIssuer": "letsencrypt"}),
        ingress(tls={"secretName": "web-tls", "issuer": "shop-ca"}),
    ],
    ids=str,
)
def test_a_good_endpoint_is_kept_as_it_is_written(kube: Kube, host: Object, endpoint: Object) -> None:
    kept = admitted(kube, changed(host, "spec.endpoint", endpoint))
    assert kept["spec"]["endpoint"] == endpoint
