"""A host that goes down and comes back."""

import pytest

from tests.e2e.support.agent import agent, call
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.kube import condition, wait_condition
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import seconds_until

pytestmark = pytest.mark.alone

NOTICED = 5.0
"""Seconds after which a host that is down must be said to be."""


async def test_a_host_that_is_down_is_named_everywhere_and_heals_by_itself(shop: Shop, own_ssh_host: SshHost) -> None:
    kube, namespace, host = shop.kube, shop.namespace, own_ssh_host
    kube.apply(
        secret(namespace, "db-01-ssh", ssh_privatekey=host.private_key),
        remote_host(namespace, "db-01", host.address, host.public_host_key),
        mcp_token(namespace, "db", ["db-01"]),
    )
    shop.wait_ready("db-01")
    shop.wait_token_ready("db")
    shop.wait_routed("db-01")
    url, token = shop.url("db-01"), shop.token("db")

    host.scale(0)
    seconds = seconds_until(
        lambda: condition(shop.host("db-01"), "Connected")["status"] == "False", what="the host is said to be down"
    )
    assert seconds <= NOTICED
    down = wait_condition(kube, "rh", "db-01", namespace, "Connected", "False")
    assert down["reason"] in {"Unreachable", "ConnectionLost"}
    assert host.address in down["message"]
    # The reason settles on what every new attempt finds.
    shop.wait_not_ready("Unreachable", "db-01")

    async with agent(url, token) as client:
        assert (await client.list_tools()).tools, "the endpoint still answers"
        failed = await client.call_tool("execute_command", {"command": "true"})
    assert failed.is_error
    assert failed.structured_content is not None
    assert failed.structured_content["code"] == "host_unreachable"
    assert failed.structured_content["retriable"] is True
    assert failed.structured_content["hint"]
    assert shop.host("db-01")["status"]["url"] == url

    host.scale(1)
    shop.wait_ready("db-01")
    assert (await call(url, token, "execute_command", command="echo back"))["stdout"] == "back\n"
