"""What the conditions say of HTTPRoutes, and of endpoints that nobody routes to."""

from dataclasses import replace
from typing import Any

import pytest

from fairlead_api.conditions import HostReason
from fairlead_api.endpoint import ParentReference
from fairlead_operator.reconcile.httproute import route_problem
from fairlead_operator.reconcile.observed import Exposure
from fairlead_operator.reconcile.routes import GatewayRoute
from tests.unit.operator.states import WORKING, condition, host, observe

ROUTE = GatewayRoute(
    host="mcp.example.com",
    path="/shop/web-01",
    annotations={},
    parents=(ParentReference(name="public", namespace="gateways"), ParentReference(name="own")),
)


def applied(*parents: tuple[dict[str, Any], dict[str, str]]) -> dict[str, Any]:
    """An HTTPRoute with what was said of it: parent and condition -> status."""
    entries: list[dict[str, Any]] = [
        {
            "parentRef": reference | {"group": "gateway.networking.k8s.io", "kind": "Gateway"},
            "conditions": [
                {"type": kind, "status": status, "reason": f"Why{kind}", "message": f"what of {kind}"}
                for kind, status in conditions.items()
            ],
        }
        for reference, conditions in parents
    ]
    return {"metadata": {"namespace": "shop"}, "status": {"parents": entries}}


PUBLIC, OWN = {"name": "public", "namespace": "gateways"}, {"name": "own", "namespace": "shop"}
FINE = {"Accepted": "True", "ResolvedRefs": "True"}


@pytest.mark.parametrize("own", [OWN, {"name": "own"}], ids=["namespace written", "namespace left out"])
def test_a_route_that_all_gateways_took_has_no_problem(own: dict[str, str]) -> None:
    assert route_problem(applied((PUBLIC, FINE), (own, FINE)), ROUTE) == ""


def test_each_gateway_that_refuses_is_named_with_its_reason() -> None:
    problem = route_problem(applied((PUBLIC, {"Accepted": "False"}), (OWN, {"ResolvedRefs": "False"})), ROUTE)
    assert "Gateway gateways/public: Accepted is False, WhyAccepted: what of Accepted" in problem
    assert "Gateway shop/own: ResolvedRefs is False" in problem


def test_a_gateway_that_nobody_serves_is_named() -> None:
    for route in (applied((OWN, FINE)), {"metadata": {"namespace": "shop"}}):
        assert "Gateway gateways/public: no controller has looked at" in route_problem(route, ROUTE)


def test_what_keeps_a_route_from_being_served_is_said_in_exposed_and_does_not_gate_ready() -> None:
    problem = Exposure(HostReason.ROUTE_NOT_ACCEPTED, "Gateway gateways/public: …")
    status = observe(host(endpoint={"type": "HTTPRoute"}), WORKING, route_problem=problem)
    # Without a Gateway it has no route at all, which is the better reason.
    assert condition(status, "Exposed") == ("False", "NoGateway")
    parents = {"parentRefs": [{"name": "public", "namespace": "gateways"}]}
    status = observe(host(endpoint={"type": "HTTPRoute", "httpRoute": parents}), WORKING, route_problem=problem)
    assert condition(status, "Exposed") == ("False", "RouteNotAccepted")
    assert condition(status, "Ready") == ("True", "Ready")


def test_service_only_is_no_fault_and_a_url_in_front_of_it_is_asked() -> None:
    status = observe(host(endpoint={"type": "Service"}), WORKING)
    assert condition(status, "Exposed") == ("False", "ServiceOnly")
    assert status["url"].startswith("http://rh-web-01.shop.svc:")
    url = "https://mine.example.com/mcp"
    seen = replace(WORKING, exposure=Exposure(HostReason.EXPOSED, "there"))
    status = observe(host(endpoint={"type": "Service", "url": url}), seen)
    assert condition(status, "Exposed") == ("True", "Exposed")
    assert status["url"] == url


@pytest.mark.parametrize("reason", ["GatewayAPINotInstalled", "RouteNotAccepted", "NoGateway", "EndpointConflict"])
def test_what_stood_in_the_way_is_forgotten_once_it_is_gone_even_before_the_url_was_asked(reason: str) -> None:
    before = {"conditions": [{"type": "Exposed", "status": "False", "reason": reason, "message": "…"}]}
    assert condition(observe(host(status=before), WORKING), "Exposed") == ("Unknown", "PodNotReady")


@pytest.mark.parametrize("reason", ["Exposed", "InsecureHTTP", "EndpointUnreachable", "EndpointMisrouted"])
def test_an_earlier_answer_of_the_url_counts_until_the_next(reason: str) -> None:
    before = {"conditions": [{"type": "Exposed", "status": "False", "reason": reason, "message": "…"}]}
    assert condition(observe(host(status=before), WORKING), "Exposed") == ("False", reason)
