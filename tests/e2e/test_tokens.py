"""Tokens: given, limited, and taken away at once."""

import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.support.agent import agent, call, call_over_http, initialize, seconds_until_refused, wait_status
from tests.e2e.support.hosts import Shop
from tests.e2e.support.objects import mcp_token
from tests.e2e.support.waiting import wait_until

pytestmark = pytest.mark.alone

REVOCATION = 2.0
"""Seconds after which a revoked token must be refused."""


@pytest.mark.timeout(600)
def test_a_deleted_token_is_refused_within_two_seconds(
    shop: Shop, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    url, seconds = shop.url(), []
    for trial in range(20):
        name = f"trial-{trial}"
        shop.kube.apply(mcp_token(shop.namespace, name, ["web-01"]))
        shop.wait_token_ready(name)
        token = shop.token(name)
        assert initialize(url, token).status_code == 200
        shop.kube.delete("mcptoken", name, shop.namespace, wait=False)
        seconds.append(seconds_until_refused(url, token))
    figures = f"median {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s over {len(seconds)} trials"
    record_property("revocation_seconds", figures)
    with capsys.disabled():
        print(f"\n  token deleted -> 401: {figures}")
    assert max(seconds) < REVOCATION


def test_a_suspended_token_is_refused_and_works_again_afterwards(shop: Shop) -> None:
    url, token = shop.url(), shop.token()
    shop.kube.patch("mcptoken", "agent", shop.namespace, {"spec": {"suspended": True}})
    assert seconds_until_refused(url, token) < REVOCATION
    assert shop.kube.get("secret", "mcpt-agent", shop.namespace)
    shop.kube.patch("mcptoken", "agent", shop.namespace, {"spec": {"suspended": False}})
    wait_until(lambda: initialize(url, token).status_code == 200, what="the same token works again")


def test_an_expired_token_is_refused_and_says_so(shop: Shop) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    shop.kube.apply(mcp_token(shop.namespace, "brief", ["web-01"], expirationTime=soon))
    shop.wait_token_ready("brief")
    url, token = shop.url(), shop.token("brief")
    assert initialize(url, token).status_code == 200
    refused = wait_status(url, token, 401, what="expired")
    assert datetime.now(UTC) >= datetime.fromisoformat(soon)
    assert "expired" in refused.headers["www-authenticate"]
    wait_until(
        lambda: "Expired" in shop.kube.run("get", "mcptoken", "brief", "-n", shop.namespace, "-o", "json"),
        what="the object says Expired",
    )


async def test_deleting_a_token_ends_its_running_command_on_the_host(shop: Shop) -> None:
    url, token = shop.url(), shop.token()

    async def long_command() -> None:
        async with agent(url, token) as client:
            await client.call_tool("execute_command", {"command": "sleep 98765"})

    running = asyncio.create_task(long_command())
    host = shop.ssh_host
    await asyncio.to_thread(wait_until, lambda: host.processes("sleep 98765"), what="the command runs on the host")
    await asyncio.to_thread(shop.kube.delete, "mcptoken", "agent", shop.namespace, wait=False)
    began = time.monotonic()
    await asyncio.wait([running], timeout=10)
    seconds = time.monotonic() - began
    assert running.done()
    assert running.exception() is not None, "the call must fail, not end as if nothing had happened"
    await asyncio.to_thread(
        wait_until, lambda: not host.processes("sleep 98765"), timeout=5, what="the command is dead on the host"
    )
    assert seconds < REVOCATION + 1.0, "the call ended late"


async def test_a_token_without_permission_gets_403_that_names_the_scope(shop: Shop) -> None:
    shop.kube.apply(mcp_token(shop.namespace, "reader", ["web-01"], ["View", "Read"]))
    shop.wait_token_ready("reader")
    url, token = shop.url(), shop.token("reader")
    async with agent(url, token) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    reading = {"read_file", "list_directory", "stat_path", "find_files", "search_files"}
    assert names == reading | {"connection_status"}
    response = call_over_http(url, token, "execute_command", command="id")
    assert response.status_code == 403
    assert "insufficient_scope" in response.headers["www-authenticate"]
    assert "fairlead:execute" in response.headers["www-authenticate"]


def test_a_token_follows_the_labels_of_hosts(shop: Shop) -> None:
    shop.kube.apply(
        mcp_token(shop.namespace, "by-label", {"matchLabels": {"env": "prod"}}),
    )
    wait_until(lambda: shop.kube.get("secret", "mcpt-by-label", shop.namespace), what="the token was minted")
    url, token = shop.url(), shop.token("by-label")
    assert initialize(url, token).status_code == 401
    shop.kube.run("label", "rh", "web-01", "-n", shop.namespace, "env=prod")
    wait_until(lambda: initialize(url, token).status_code == 200, what="the relabelled host accepts it")
    shop.kube.run("label", "rh", "web-01", "-n", shop.namespace, "env-")
    assert seconds_until_refused(url, token) < REVOCATION


async def test_a_token_secret_deleted_by_hand_is_minted_anew_and_the_old_token_is_dead(shop: Shop) -> None:
    url, old = shop.url(), shop.token()
    shop.kube.delete("secret", "mcpt-agent", shop.namespace)
    wait_until(lambda: shop.kube.get("secret", "mcpt-agent", shop.namespace), what="a new Secret")
    new = shop.token()
    assert new != old
    wait_until(lambda: initialize(url, new).status_code == 200, what="the new token works")
    assert initialize(url, old).status_code == 401
    assert (await call(url, new, "connection_status"))["host"] == "web-01"
