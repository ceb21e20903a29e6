"""MCP servers that live on the host, of each type, through the Ingress."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.support.agent import agent, call_over_http, try_call
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.install import Installation
from tests.e2e.support.kube import Kube, Object, condition
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import holds_for, settled, wait_until

PORT = 8090
STOCK: dict[str, Any] = {
    "name": "stock",
    "type": "Stdio",
    "stdio": {"command": "shop-stock", "env": [{"name": "SHOP_BRANCH", "value": "harbour"}]},
}


@pytest.fixture
def stock(kube: Kube, installation: Installation, namespace: str, ssh_host: SshHost) -> Iterator[Shop]:
    """A Ready host with the server `stock`, and a token `agent` that may use it."""
    shop = Shop(kube, installation, namespace, ssh_host)
    kube.apply(
        secret(namespace, "web-01-ssh", ssh_privatekey=ssh_host.private_key),
        remote_host(namespace, "web-01", ssh_host.address, ssh_host.public_host_key, mcpServers=[STOCK]),
        mcp_token(namespace, "agent", ["web-01"], ["View", "Execute", "Call"]),
    )
    shop.wait_ready()
    shop.wait_token_ready()
    shop.wait_routed()
    yield shop
    kube.delete("rh", "web-01", namespace)
    wait_until(lambda: not ssh_host.processes("shop_stock.py"), what="no server is left behind on the host")


def serve(shop: Shop, *servers: dict[str, Any]) -> None:
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"mcpServers": list(servers)}})


def server(shop: Shop, name: str = "stock") -> Object:
    """What status.mcpServers says of a server; empty where it says nothing."""
    servers = shop.host()["status"].get("mcpServers") or []
    return next((found for found in servers if found["name"] == name), {})


def wait_server(shop: Shop, status: str, reason: str, name: str = "stock") -> Object:
    """Wait until the server's condition is this for the newest generation."""

    def probe() -> Object | None:
        host = shop.host()
        servers: list[Object] = host["status"].get("mcpServers") or []
        found = next((some for some in servers if some["name"] == name), {})
        ready = condition({"status": found}, "Ready")
        current = ready.get("observedGeneration") == host["metadata"]["generation"]
        return found if current and (ready.get("status"), ready.get("reason")) == (status, reason) else None

    try:
        return wait_until(probe, what=f"the server {name}: Ready={status} {reason}")
    except AssertionError as error:
        raise AssertionError(f"{error}; {server(shop, name)}") from None


def called(shop: Shop, tool: str, token: str = "agent", **arguments: Any) -> Any:
    """What a tool gives."""
    result = try_call(shop.url(), shop.token(token), tool, **arguments)
    return result.get("result", result)


def tools(url: str, token: str) -> set[str]:
    """The names of the tools that are listed at a URL."""

    async def listed() -> set[str]:
        async with agent(url, token) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    return asyncio.run(listed())


def alone(shop: Shop, name: str = "stock") -> str:
    """The URL at which a server is by itself."""
    return shop.url().removesuffix("/mcp") + f"/servers/{name}/mcp"


def pod(shop: Shop) -> str:
    """The UID of the only pod."""
    return str(shop.only_pod()["metadata"]["uid"])


def described(shop: Shop) -> str:
    return shop.kube.run("describe", "rh", "web-01", "-n", shop.namespace)


def test_a_server_that_only_a_login_shell_finds_is_used_through_the_ingress_and_by_itself(stock: Shop) -> None:
    found = wait_server(stock, "True", "Ready")
    assert found["serverInfo"] == {"name": "shop-stock", "version": "1.2.3"}
    assert found["toolCount"] == 3
    assert found["protocolVersion"]
    assert called(stock, "stock__in_stock", item="lamps") == 12
    assert called(stock, "stock__branch") == "harbour"
    assert tools(alone(stock), stock.token()) == {"in_stock", "sell", "branch"}
    result = try_call(alone(stock), stock.token(), "in_stock", item="chairs")
    assert result["result"] == 4


def test_a_token_gets_of_it_what_its_permissions_and_its_selection_of_tools_leave(stock: Shop) -> None:
    wait_server(stock, "True", "Ready")
    stock.kube.apply(
        mcp_token(stock.namespace, "runner", ["web-01"], ["View", "Execute"]),
        mcp_token(
            stock.namespace, "reader", ["web-01"], ["View", "Call"], tools={"allow": ["stock__*"], "deny": ["*sell"]}
        ),
    )
    stock.wait_token_ready("runner")
    stock.wait_token_ready("reader")
    own, prefixed = {"execute_command"}, {"stock__in_stock", "stock__sell", "stock__branch"}
    assert own | prefixed <= tools(stock.url(), stock.token())
    assert own <= tools(stock.url(), stock.token("runner"))
    assert not prefixed & tools(stock.url(), stock.token("runner"))
    assert tools(stock.url(), stock.token("reader")) == prefixed - {"stock__sell"}
    assert tools(alone(stock), stock.token("reader")) == {"in_stock", "branch"}
    refusal = call_over_http(stock.url(), stock.token("runner"), "stock__in_stock", item="lamps")
    assert refusal.status_code == 403
    assert "fairlead:call" in refusal.headers["www-authenticate"]
    assert call_over_http(stock.url(), stock.token("reader"), "stock__sell", item="lamps").status_code == 403
    stock.kube.patch("mcptoken", "reader", stock.namespace, {"spec": {"tools": {"deny": ["stock__*"]}}})
    wait_until(lambda: not tools(stock.url(), stock.token("reader")) & prefixed, what="the tools are gone")


def test_a_read_only_host_leaves_the_tools_that_say_they_change_nothing(stock: Shop) -> None:
    wait_server(stock, "True", "Ready")
    stock.kube.patch("rh", "web-01", stock.namespace, {"spec": {"policy": {"readOnly": True}}})
    wait_until(
        lambda: (
            {name for name in tools(stock.url(), stock.token()) if name.startswith("stock__")}
            == {"stock__in_stock", "stock__branch"}
        ),
        what="the tool that changes something is gone",
    )
    assert called(stock, "stock__sell", item="lamps")["is_error"]


def exposure(stock: Shop) -> str:
    conditions = stock.host()["status"]["conditions"]
    return next(str(condition["status"]) for condition in conditions if condition["type"] == "Exposed")


def test_a_broken_command_is_named_by_describe_and_mending_it_takes_no_new_pod(stock: Shop) -> None:
    wait_server(stock, "True", "Ready")
    before = pod(stock)
    serve(stock, STOCK | {"stdio": {"command": "shop-stok"}})
    wait_server(stock, "False", "CommandNotFound")
    told = wait_until(
        lambda: text if "McpServerNotReady" in (text := described(stock)) else None,
        what="the Event is shown",
    )
    assert "CommandNotFound" in told
    assert "shop-stok" in told
    assert not {name for name in tools(stock.url(), stock.token()) if name.startswith("stock__")}
    stock.wait_ready()
    wait_until(lambda: exposure(stock) != "Unknown", what="the public URL was asked")

    def version() -> str:
        return str(stock.host()["metadata"]["resourceVersion"])

    now = settled(version, what="the host")
    holds_for(lambda: version() == now, seconds=10, what="failing again is no news")
    serve(stock, STOCK)
    wait_server(stock, "True", "Ready")
    assert called(stock, "stock__in_stock", item="lamps") == 12
    assert pod(stock) == before


def test_a_server_that_is_added_leaves_the_others_and_the_pod_alone(stock: Shop) -> None:
    wait_server(stock, "True", "Ready")
    before = pod(stock)
    assert called(stock, "stock__sell", item="lamps", pieces=2) == 10
    second = STOCK | {"name": "second", "stdio": {"command": "shop-stock"}}
    serve(stock, STOCK, second)
    wait_server(stock, "True", "Ready", "second")
    assert called(stock, "second__in_stock", item="lamps") == 12
    assert called(stock, "stock__in_stock", item="lamps") == 10
    serve(stock, second)
    wait_until(lambda: not server(stock), what="the first one is gone from the status")
    wait_until(
        lambda: not {name for name in tools(stock.url(), stock.token()) if name.startswith("stock__")},
        what="its tools are gone",
    )
    assert pod(stock) == before


def test_a_missing_secret_is_named_and_its_value_reaches_the_server_when_it_is_there(stock: Shop) -> None:
    reference = {"secretKeyRef": {"name": "shop", "key": "branch"}}
    serve(stock, STOCK | {"stdio": {"command": "shop-stock", "env": [{"name": "SHOP_BRANCH", "valueFrom": reference}]}})
    missing = condition({"status": wait_server(stock, "False", "SecretNotFound")}, "Ready")
    assert "shop/branch" in missing["message"]
    assert condition(stock.host(), "CredentialsReady")["reason"] == "SecretNotFound"
    stock.wait_ready()
    stock.kube.apply(secret(stock.namespace, "shop", branch="hidden-harbour"))
    wait_server(stock, "True", "Ready")
    # The Secret was not mounted before, so there is a new pod, and the old one may answer for a moment longer.
    wait_until(lambda: called(stock, "stock__branch") == "hidden-harbour", what="the value is there")
    assert not stock.ssh_host.processes("hidden-harbour")
    assert "hidden-harbour" not in stock.kube.run("logs", "-n", stock.namespace, "deploy/rh-web-01")


def test_a_server_on_http_is_reached_through_the_link_as_soon_as_it_listens(stock: Shop) -> None:
    serve(stock, {"name": "web", "type": "HTTP", "http": {"url": f"http://127.0.0.1:{PORT}/mcp"}})
    wait_server(stock, "False", "NotListening", "web")
    started = f"setsid /home/deploy/.local/bin/shop-stock {PORT} </dev/null >/dev/null 2>&1 & echo $!"
    process = stock.ssh_host.run("su", "deploy", "-c", started).strip()
    try:
        found = wait_server(stock, "True", "Ready", "web")
        assert found["serverInfo"]["name"] == "shop-stock"
        assert called(stock, "web__in_stock", item="lamps") == 12
        serve(stock, {"name": "web", "type": "HTTP", "http": {"url": f"http://127.0.0.1:{PORT}/wrong"}})
        wait_server(stock, "False", "EndpointNotFound", "web")
    finally:
        stock.ssh_host.run("kill", process, check=False)


def test_a_server_on_ssh_is_reached_through_the_link_with_a_login_of_its_own(stock: Shop) -> None:
    nested = {
        "port": 22,
        "username": "deploy",
        "auth": {"type": "Secret", "secret": {"name": "nested-ssh"}},
        "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [stock.ssh_host.public_host_key]}},
        "command": ".local/bin/shop-stock",
    }
    serve(stock, {"name": "nested", "type": "SSH", "ssh": nested})
    wait_server(stock, "False", "SecretNotFound", "nested")
    assert "'nested-ssh' (the MCP server nested)" in condition(stock.host(), "CredentialsReady")["message"]
    stock.kube.apply(secret(stock.namespace, "nested-ssh", ssh_privatekey=stock.ssh_host.private_key))
    wait_server(stock, "True", "Ready", "nested")
    wait_until(lambda: called(stock, "nested__in_stock", item="lamps") == 12, what="it is called")
