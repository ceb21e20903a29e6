"""The agent's part of the demo: a real MCP client with nothing but a URL and a token."""

from mcp.client import Client

from fairlead_client.client_configs import Bearer, http_snippets, render
from tests.cluster.console import say, step
from tests.e2e.support.agent import agent

COMMAND = 'echo "$(id -un) on $(uname -n), $(uname -sr), up $(cut -d. -f1 /proc/uptime) s"'


async def works(url: str, token: str) -> None:
    """List the tools, run a command and show what came back."""
    with step(f"an agent connects to {url} and lists its tools"):
        async with agent(url, token) as client:
            tools = (await client.list_tools()).tools
            say(f"    {client.protocol_version}: {', '.join(tool.name for tool in tools)}")
    with step("the agent runs a command on the host"):
        async with agent(url, token) as client:
            await _run(client)


async def _run(client: Client) -> None:
    say(f"    $ {COMMAND}")
    result = await client.call_tool("execute_command", {"command": COMMAND})
    content = result.structured_content or {}
    if result.is_error:
        msg = f"the command failed: {content.get('code')}: {content.get('message')}"
        raise AssertionError(msg)
    for line in str(content["stdout"]).splitlines():
        say(f"    {line}")
    say(f"    exit code {content['exit_code']}, {content['duration_seconds'] * 1000:.0f} ms on the host")


def lines_to_paste(name: str, url: str, token: str) -> None:
    """Print what a person pastes into their own client."""
    say("\nPaste this into your own client:\n")
    say(render(http_snippets(name, url, Bearer.literal(token))) + "\n")
