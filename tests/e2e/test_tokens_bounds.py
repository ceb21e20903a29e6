"""From where, how often and how much at a time: bounds of tokens on real pods, behind a real Ingress controller."""

import asyncio
import re

import httpx
import pytest

from tests.cluster.node import PODS
from tests.e2e.support.agent import agent, call, call_over_http, initialize, wait_status
from tests.e2e.support.hosts import Shop
from tests.e2e.support.objects import mcp_token
from tests.e2e.support.waiting import wait_until

ELSEWHERE = ["192.0.2.0/24"]
ANYWHERE = ["0.0.0.0/0", "::/0"]


def _from(shop: Shop, cidrs: list[str] | None, status: int) -> httpx.Response:
    """Let the token be used from there, and wait until that is so."""
    shop.kube.patch("mcptoken", "agent", shop.namespace, {"spec": {"sourceCIDRs": cidrs}})
    url, token = shop.url(), shop.token()
    return wait_status(url, token, status, what=f"{cidrs} gives {status}")


def test_a_token_is_refused_from_elsewhere_with_a_reason_of_its_own(shop: Shop) -> None:
    answer = _from(shop, ELSEWHERE, 403)
    assert "address_not_allowed" in answer.text
    _from(shop, ANYWHERE, 200)
    _from(shop, ELSEWHERE, 403)
    _from(shop, None, 200)


def test_behind_the_ingress_controller_the_agents_own_address_counts(shop: Shop) -> None:
    refusal = _from(shop, [PODS], 403)
    found = re.search(r"the address ([0-9.]+)", refusal.text)
    assert found is not None, refusal.text
    _from(shop, [f"{found[1].rstrip('.')}/32"], 200)


def test_the_clients_own_address_counts_and_not_what_it_says_of_itself(shop: Shop) -> None:
    _from(shop, ELSEWHERE, 403)
    headers = {
        "Authorization": f"Bearer {shop.token()}",
        "Accept": "application/json, text/event-stream",
        "X-Forwarded-For": "192.0.2.7",
        "Forwarded": "for=192.0.2.7",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert httpx.post(shop.url(), json=body, headers=headers, timeout=30).status_code == 403


@pytest.mark.alone
async def test_narrower_networks_end_a_running_command(shop: Shop) -> None:
    url, token = shop.url(), shop.token()

    async def long_command() -> None:
        async with agent(url, token) as client:
            await client.call_tool("execute_command", {"command": "sleep 87654"})

    running = asyncio.create_task(long_command())
    host = shop.ssh_host
    await asyncio.to_thread(wait_until, lambda: host.processes("sleep 87654"), what="the command runs")
    await asyncio.to_thread(shop.kube.patch, "mcptoken", "agent", shop.namespace, {"spec": {"sourceCIDRs": ELSEWHERE}})
    await asyncio.wait([running], timeout=10)
    assert running.done()
    assert running.exception() is not None
    await asyncio.to_thread(wait_until, lambda: not host.processes("sleep 87654"), timeout=5, what="it is dead")


def _limits(shop: Shop, **limits: int) -> None:
    """Bound the host, and wait until its sidecar knows."""
    shop.kube.patch("remotehost", "web-01", shop.namespace, {"spec": {"limits": limits}})
    shop.wait_ready()


def test_more_requests_than_allowed_are_429_for_that_token_alone(shop: Shop) -> None:
    shop.kube.apply(
        mcp_token(shop.namespace, "double", ["web-01"], rateLimit={"multiplierPercent": 300}),
        mcp_token(shop.namespace, "other", ["web-01"]),
    )
    for name in ("double", "other"):
        shop.wait_token_ready(name)
    _limits(shop, requestsPerMinute=5)
    url = shop.url()

    def accepted(name: str) -> int:
        """How many requests pass until one does not."""
        token = shop.token(name)
        for count in range(40):
            answer = initialize(url, token)
            if answer.status_code == 429:
                assert 0 < int(answer.headers["retry-after"]) <= 60
                return count
            assert answer.status_code == 200
        return 40

    one = wait_until(lambda: count if (count := accepted("agent")) < 40 else None, what="the rate is in force")
    assert one <= 5
    assert accepted("double") == 15
    assert initialize(url, shop.token("other")).status_code == 200
    assert shop.wait_ready(), "the operator's own probe is bound by no rate"


async def test_more_commands_than_allowed_are_an_error_that_says_when(shop: Shop) -> None:
    _limits(shop, commandsPerHour=2)
    url, token = shop.url(), shop.token()
    results = [await call(url, token, "execute_command", command="true") for _ in range(3)]
    assert [result["is_error"] for result in results] == [False, False, True]
    assert "rate_limited" in str(results[2])
    assert not (await call(url, token, "connection_status"))["is_error"], "what starts no command goes on"


async def test_one_command_too_many_at_a_time_is_told_that_the_host_is_busy(shop: Shop) -> None:
    _limits(shop, concurrentCommands=1)
    url, token = shop.url(), shop.token()
    async with agent(url, token) as client:
        running = asyncio.create_task(client.call_tool("execute_command", {"command": "sleep 76543; echo over"}))
        await asyncio.to_thread(wait_until, lambda: shop.ssh_host.processes("sleep 76543"), what="the command runs")
        busy = await call(url, token, "execute_command", command="true")
        assert busy["is_error"]
        assert "host_busy" in str(busy)
        shop.ssh_host.run("pkill", "-f", "^sleep 76543")
        assert not (await running).is_error
    assert not (await call(url, token, "execute_command", command="true"))["is_error"]


def test_without_permission_a_request_counts_as_well(shop: Shop) -> None:
    shop.kube.apply(mcp_token(shop.namespace, "reader", ["web-01"], ["View"]))
    shop.wait_token_ready("reader")
    _limits(shop, requestsPerMinute=3)
    url, token = shop.url(), shop.token("reader")

    def statuses() -> list[int]:
        return [call_over_http(url, token, "execute_command", command="id").status_code for _ in range(5)]

    assert statuses()[-1] == 429
