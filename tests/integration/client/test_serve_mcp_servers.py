"""`fairlead serve` with MCP servers that live on the host."""

import json
import shutil
from pathlib import Path

import mcp_types as types
import pytest
from mcp.client import Client

from tests.integration.app.endpoint import until
from tests.integration.client.person import ENDING_SECONDS, Era, Person
from tests.integration.sshd import Sshd

SERVER = Path(__file__).with_name("stdio_server.py")


@pytest.fixture
def servers_file(person: Person, sshd: Sshd) -> Path:
    """What somebody has in their client, with the program on the host."""
    shutil.copy(SERVER, sshd.home / "server.py")
    env = {"SSH_ORIGINAL_COMMAND": "hunter 2 'quoted'"}
    told = {"command": "/usr/bin/python3", "args": ["server.py"], "env": env, "autoApprove": ["whoami"]}
    file = person.home / "servers_config.json"
    file.write_text(json.dumps({"mcpServers": {"Behind SSH": told}}))
    return file


async def listed(client: Client, name: str) -> bool:
    return name in {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}


async def says(client: Client) -> str:
    await until(lambda: listed(client, "behind-ssh__whoami"), "the server's tools", seconds=ENDING_SECONDS)
    (content,) = (await client.call_tool("behind-ssh__whoami", {})).content
    assert isinstance(content, types.TextContent)
    return content.text


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_servers_of_a_clients_file_are_there_on_http(
    person: Person, sshd: Sshd, servers_file: Path, era: Era
) -> None:
    with person.serves("--mcp-servers", str(servers_file), person.is_at_home_on(sshd)) as served:
        async with served.connected(era=era) as client:
            assert await says(client) == "hunter 2 'quoted' False"
            assert await listed(client, "execute_command")
    assert "mcpServers.Behind SSH: it is called 'behind-ssh' here" in served.said
    assert "mcpServers.Behind SSH: ignored: autoApprove" in served.said
    assert "/servers/NAME/mcp: behind-ssh" in served.said
    assert "hunter" not in served.said


async def test_the_servers_of_a_clients_file_are_there_on_stdio(person: Person, sshd: Sshd, servers_file: Path) -> None:
    arguments = ("--mcp-servers", str(servers_file), person.is_at_home_on(sshd))
    async with person.connects_on_stdio(*arguments) as client:
        assert await says(client) == "hunter 2 'quoted' False"


async def test_a_host_file_has_servers_with_values_of_secrets(person: Person, sshd: Sshd) -> None:
    shutil.copy(SERVER, sshd.home / "server.py")
    secret = person.home / "secrets" / "app" / "token"
    secret.parent.mkdir(parents=True)
    secret.write_text("hunter2")
    variable = {"name": "SSH_ORIGINAL_COMMAND", "valueFrom": {"secretKeyRef": {"name": "app", "key": "token"}}}
    stdio = {"command": "/usr/bin/python3", "args": ["server.py"], "env": [variable]}
    file = person.home / "host.yaml"
    file.write_text(json.dumps({"mcpServers": [{"name": "behind-ssh", "type": "Stdio", "stdio": stdio}]}))
    options = (f"--config={file}", f"--secrets={person.home / 'secrets'}", "--read-only")
    with person.serves(*options, person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            # Of a read-only host only what its server calls read-only.
            await until(lambda: listed(client, "connection_status"), "the host's tools")
            assert not await listed(client, "behind-ssh__whoami")
    with person.serves(*options[:-1], person.is_at_home_on(sshd)) as served:
        async with served.connected() as client:
            assert await says(client) == "hunter2 False"


def test_a_file_that_can_not_be_used_is_refused_before_anything_begins(person: Person) -> None:
    file = person.home / "servers_config.json"
    file.write_text('{"mcpServers": {"x": {"args": []}}}')
    result = person.runs("serve", "--mcp-servers", str(file), "web-01")
    assert result.returncode == 2
    assert f"{file}: mcpServers.x: needs command, or url" in " ".join(result.stderr.split())
