"""Hosts on which agents do what the owner wrote down, and nothing else."""

import asyncio
from typing import Any

from tests.e2e.support.agent import agent, try_call
from tests.e2e.support.hosts import Shop
from tests.e2e.support.objects import mcp_token

COMMANDS = [
    {
        "name": "greet",
        "description": "Greet somebody.",
        "argv": ["printf", "%s|", "ahoy {who}", "{{who}}", "{loud}"],
        "parameters": {"who": {"pattern": "[a-z ;$()]+"}, "loud": {"type": "Boolean", "default": "false"}},
        "readOnly": True,
    },
    {"name": "touch", "argv": ["touch", "/tmp/{file}"], "parameters": {"file": {"enum": ["one", "two"]}}},
]


def tools(shop: Shop) -> set[str]:
    async def ask() -> set[str]:
        async with agent(shop.url(), shop.token()) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    return asyncio.run(ask())


def run(shop: Shop, tool: str, **arguments: Any) -> dict[str, Any]:
    return try_call(shop.url(), shop.token(), tool, **arguments)


def offer(shop: Shop, policy: dict[str, Any], **spec: Any) -> None:
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"policy": policy, **spec}})


def test_a_host_offers_only_its_named_commands(shop: Shop) -> None:
    offer(shop, {"namedCommands": COMMANDS}, tools={"groups": ["Connection"]})
    shop.kube.apply(mcp_token(shop.namespace, "agent", ["web-01"], ["View", "Execute"]))
    shop.wait_ready()
    shop.wait_token_ready()
    free = {"execute_command", "execute_script", "read_file", "write_file", "list_directory", "search_files"}
    assert not tools(shop) & free
    assert {"run_greet", "run_touch", "connection_status"} <= tools(shop)
    # What looks like shell stays text.
    greeted = run(shop, "run_greet", who="ada; $(id)")
    assert greeted["stdout"] == "ahoy ada; $(id)|{who}|false|"
    assert run(shop, "run_greet", who="ADA")["code"] == "invalid_request"
    assert run(shop, "run_touch", file="../../etc/x")["is_error"]
    assert "stdout" not in run(shop, "execute_command", command="id")


def test_a_read_only_host_offers_what_changes_nothing(shop: Shop) -> None:
    offer(shop, {"namedCommands": COMMANDS, "readOnly": True})
    shop.wait_ready()
    offered = tools(shop)
    assert {"run_greet", "read_file", "list_directory", "connection_status"} <= offered
    assert not offered & {"run_touch", "execute_command", "execute_script", "write_file", "edit_file", "delete_path"}
    for tool, arguments in (
        ("execute_command", {"command": "touch /tmp/read-only"}),
        ("run_touch", {"file": "one"}),
        ("write_file", {"path": "/tmp/read-only", "content": "x"}),
    ):
        assert "exit_code" not in run(shop, tool, **arguments), tool
    assert shop.ssh_host.run("sh", "-c", "ls /tmp/read-only 2>/dev/null || echo none") == "none\n"
