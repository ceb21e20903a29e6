"""The operator comes and goes; what works goes on working, and nothing is forgotten."""

import asyncio

import pytest

from tests.e2e.support.agent import agent, initialize, wait_status
from tests.e2e.support.hosts import Shop
from tests.e2e.support.objects import mcp_token
from tests.e2e.support.waiting import holds_for, settled, wait_until

pytestmark = pytest.mark.alone

CHILDREN = "deployment,service,ingress,secret,pod"


def _children(shop: Shop) -> set[str]:
    return set(shop.kube.run("get", CHILDREN, "-n", shop.namespace, "-o", "name").split())


def _versions(shop: Shop) -> dict[str, str]:
    """What every write changes: resource versions of all objects that belong to hosts and tokens, and of those."""
    kinds = "remotehosts,mcptokens,deployments,services,ingresses,secrets,pods"
    rows = shop.kube.run(
        "get",
        kinds,
        "-n",
        shop.namespace,
        "-o",
        'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}',
    )
    return dict(row.split() for row in rows.splitlines() if row)


def _last_used(shop: Shop) -> str | None:
    time: str | None = (shop.kube.get("mcptoken", "agent", shop.namespace) or {})["status"].get("lastUsedTime")
    return time


def _use_token(shop: Shop) -> str:
    """Use the token for the first time, so that its status needs no word of that any more within this hour."""
    assert initialize(shop.url(), shop.token()).status_code == 200
    return wait_until(lambda: _last_used(shop), what="the token's last use in its status")


async def test_a_killed_operator_interrupts_no_session_and_changes_nothing(shop: Shop) -> None:
    hour, before = _use_token(shop), settled(lambda: _versions(shop), what="the state")
    async with agent(shop.url(), shop.token()) as client:
        running = asyncio.create_task(client.call_tool("execute_command", {"command": "sleep 15; echo survived"}))
        await asyncio.to_thread(wait_until, lambda: shop.ssh_host.processes("sleep 15"), what="the command runs")
        await asyncio.to_thread(shop.installation.kill_operator)
        assert not running.done()
        await asyncio.to_thread(shop.installation.wait_operator_ready)
        result = await running
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "survived\n"
    shop.kube.apply(mcp_token(shop.namespace, "afterwards", ["web-01"]))
    shop.wait_token_ready("afterwards")
    after = _versions(shop)
    if _last_used(shop) != hour:
        # Another one has begun meanwhile.
        del before["McpToken/agent"]
    unchanged = {k: v for k, v in before.items() if not k.endswith(("rh-web-01", "web-01")) and "Pod/" not in k}
    assert unchanged.items() <= after.items()


def test_what_is_deleted_while_the_operator_is_down_is_gone_for_good(shop: Shop) -> None:
    shop.kube.apply(mcp_token(shop.namespace, "doomed", ["web-01"]))
    shop.wait_token_ready("doomed")
    url, doomed, kept = shop.url(), shop.token("doomed"), shop.token()
    with shop.installation.operator_down():
        shop.kube.delete("mcptoken", "doomed", shop.namespace)
        assert initialize(url, kept).status_code == 200, "hosts go on without the operator"
    wait_status(url, doomed, 401, what="the token deleted meanwhile is refused")
    assert initialize(url, kept).status_code == 200
    shop.kube.wait_gone("secret", "mcpt-doomed", shop.namespace)

    with shop.installation.operator_down():
        shop.kube.delete("remotehost", "web-01", shop.namespace)
        shop.kube.delete("mcptoken", "agent", shop.namespace)
    wait_until(
        lambda: not [c for c in _children(shop) if "rh-web-01" in c or "mcpt-" in c],
        what="all that belonged to them is gone",
    )
    assert "secret/web-01-ssh" in _children(shop), "the user's own Secret stays"


def test_deleting_host_and_token_removes_all_that_belongs_to_them(shop: Shop) -> None:
    assert [c for c in _children(shop) if "rh-web-01" in c]
    shop.kube.delete("remotehost", "web-01", shop.namespace)
    shop.kube.delete("mcptoken", "agent", shop.namespace)
    wait_until(
        lambda: not [c for c in _children(shop) if "rh-web-01" in c or "mcpt-" in c],
        what="all that belonged to them is gone",
    )
    assert "secret/web-01-ssh" in _children(shop)


def test_a_steady_state_causes_no_write_for_a_minute(shop: Shop) -> None:
    before = settled(lambda: _versions(shop), what="the state", pause=5)
    holds_for(lambda: _versions(shop) == before, seconds=60, what="no object changes", interval=5)


def test_a_suspended_host_has_no_pod_and_comes_back_at_the_same_url(shop: Shop) -> None:
    url = shop.url()
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"suspended": True}})
    shop.wait_not_ready("Suspended")
    wait_until(lambda: not shop.kube.list("pods", shop.namespace), what="no pod")
    assert shop.url() == url
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"suspended": False}})
    shop.wait_ready()
    shop.wait_routed()
    assert initialize(url, shop.token()).status_code == 200
