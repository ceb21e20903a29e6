"""Nobody gets at another host's URL, and so at its agents' tokens; and no conflict holds up a revocation."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster.state import Description
from tests.e2e.support.agent import initialize, seconds_until_refused, wait_status
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.kube import Kube, condition
from tests.e2e.support.objects import remote_host, secret
from tests.e2e.support.waiting import wait_until

REVOCATION = 2.0
"""Seconds after which a revoked token must be refused."""


def _want(kube: Kube, namespace: str, name: str, ssh_host: SshHost, **ingress: str) -> None:
    endpoint: dict[str, Any] = {"type": "Ingress", "ingress": ingress}
    kube.apply(remote_host(namespace, name, ssh_host.address, ssh_host.public_host_key, endpoint=endpoint))


def _wait_conflict(kube: Kube, namespace: str, *names: str) -> None:
    def conflicts() -> bool:
        found = (condition(kube.get("remotehost", name, namespace), "Exposed") for name in names)
        return all(exposed.get("reason") == "EndpointConflict" for exposed in found)

    wait_until(conflicts, what=f"EndpointConflict of {', '.join(names)}")


def _instance(url: str) -> str | None:
    """Who answers at a URL; None: nobody of Fairlead."""
    headers: Mapping[str, str] = initialize(url, None).headers
    return headers.get("fairlead-instance")


def test_another_namespace_gets_neither_a_longer_path_nor_a_more_specific_host(
    shared_shop: Shop, strangers_namespace: str, cluster: Description
) -> None:
    kube, stranger = shared_shop.kube, strangers_namespace
    url, uid = shared_shop.url(), shared_shop.host()["metadata"]["uid"]
    path, name = f"/{shared_shop.namespace}/web-01", urlsplit(url).hostname or ""
    wishes = {
        "same": {"path": path},
        "longer": {"path": f"{path}/mcp"},
        "shorter": {"path": f"/{shared_shop.namespace}"},
        "specific": {"path": path, "host": name},
        "specific-root": {"path": "/", "host": name},
        "alias": {"path": f"{path}/mcp", "host": cluster.ingress_pod_host},
    }
    for wish, ingress in wishes.items():
        _want(kube, stranger, wish, shared_shop.ssh_host, **ingress)
    _wait_conflict(kube, stranger, *wishes)
    assert kube.list("ingresses", stranger) == []
    assert _instance(url) == uid
    assert initialize(url, shared_shop.token()).status_code == 200
    assert condition(shared_shop.host(), "Exposed").get("reason") != "EndpointConflict"
    told = condition(kube.get("remotehost", "alias", stranger), "Exposed")["message"]
    assert "another namespace" in told


@pytest.mark.parametrize("host", ["", "ingress.test"], ids=["any-host", "own-host"])
def test_squatting_on_a_url_beforehand_gains_nothing(
    kube: Kube, namespace: str, strangers_namespace: str, ssh_host: SshHost, host: str
) -> None:
    ingress = {"path": f"/{namespace}/web-01/mcp"} | ({"host": host} if host else {})
    _want(kube, strangers_namespace, "squatter", ssh_host, **ingress)
    wait_until(
        lambda: condition(kube.get("remotehost", "squatter", strangers_namespace), "Exposed"),
        what="the squatter was looked at",
    )
    kube.apply(
        secret(namespace, "web-01-ssh", ssh_privatekey=ssh_host.private_key),
        remote_host(namespace, "web-01", ssh_host.address, ssh_host.public_host_key),
    )
    _wait_conflict(kube, strangers_namespace, "squatter")
    wait_until(lambda: kube.list("ingresses", strangers_namespace) == [], what="the squatter is evicted")
    found = wait_until(
        lambda: (kube.get("remotehost", "web-01", namespace) or {}).get("status", {}).get("url"),
        what="the rightful host has its URL",
    )
    uid = (kube.get("remotehost", "web-01", namespace) or {})["metadata"]["uid"]
    wait_until(lambda: _instance(found) == uid, what="the rightful host answers")


def test_a_suspended_host_keeps_its_url_but_nothing_answers_there(shop: Shop) -> None:
    url, uid = shop.url(), shop.host()["metadata"]["uid"]
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"suspended": True}})
    wait_status(url, shop.token(), 404, what="nothing answers")
    wait_until(lambda: shop.kube.list("ingresses", shop.namespace) == [], what="there is no Ingress")
    assert shop.url() == url
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"suspended": False}})
    wait_until(lambda: _instance(url) == uid, what="it answers again")


@pytest.mark.alone
def test_a_revocation_arrives_although_the_host_has_a_name_conflict(shop: Shop) -> None:
    url, token = shop.url(), shop.token()
    shop.kube.apply(secret(shop.namespace, "rh-web-01.key", mine="hands off"))
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"auth": {"type": "Generated", "secret": None}}})
    shop.wait_not_ready("NameConflict")
    assert initialize(url, token).status_code == 200
    shop.kube.delete("mcptoken", "agent", shop.namespace, wait=False)
    assert seconds_until_refused(url, token) < REVOCATION
