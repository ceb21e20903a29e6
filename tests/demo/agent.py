"""The agent's part of the demo: a real MCP client with nothing but a URL and a token."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx2
from mcp.shared.exceptions import MCPError

from fairlead_client.client_configs import Bearer, http_snippets, render
from tests.cluster.console import say, step
from tests.e2e.support.agent import agent, call

COMMAND = 'echo "$(id -un) on $(uname -n), $(uname -sr), up $(cut -d. -f1 /proc/uptime) s"'


def works(url: str, token: str) -> None:
    """List the tools, run a command and show what came back.

    Raises:
        AssertionError: It could not.
    """
    _run(_work(url, token))


def asks(url: str, token: str, tool: str, **arguments: str) -> None:
    """Call a tool of an MCP server that lives on the host.

    Raises:
        AssertionError: It could not.
    """
    _run(_ask(url, token, tool, arguments))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except* (httpx2.HTTPError, MCPError) as errors:
        # One of them is enough: the others are the same fault, seen by other tasks of the client.
        msg = f"the agent failed: {_leaf(errors)}"
        raise AssertionError(msg) from errors


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _work(url: str, token: str) -> None:
    with step(f"an agent connects to {url} and lists its tools"):
        async with agent(url, token) as client:
            tools = (await client.list_tools()).tools
            say(f"    {client.protocol_version}: {', '.join(tool.name for tool in tools)}")
    with step("the agent runs a command on the host"):
        say(f"    $ {COMMAND}")
        result = await call(url, token, "execute_command", command=COMMAND)
        if result["is_error"]:
            msg = f"the command failed: {result['code']}: {result['message']} {result['hint']}"
            raise AssertionError(msg)
        for line in str(result["stdout"]).splitlines():
            say(f"    {line}")
        say(f"    exit code {result['exit_code']}, {result['duration_seconds'] * 1000:.0f} ms on the host")


async def _ask(url: str, token: str, tool: str, arguments: dict[str, str]) -> None:
    with step("the agent asks an MCP server that lives on the host"):
        result = await call(url, token, tool, **arguments)
        if result["is_error"]:
            msg = f"{tool} failed: {result}"
            raise AssertionError(msg)
        say(f"    {tool}({', '.join(f'{name}={value!r}' for name, value in arguments.items())}): {result['result']}")


def lines_to_paste(name: str, url: str, token: str) -> None:
    """Print what a person pastes into their own client."""
    say("\nPaste this into your own client:\n")
    say(render(http_snippets(name, url, Bearer.literal(token))) + "\n")
