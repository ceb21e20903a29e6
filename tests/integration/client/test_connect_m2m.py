"""`fairlead connect ssh://…` with the real m2m-mcp-server-ssh-server."""

import stat
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.integration.client.person import FAIRLEAD, Person
from tests.integration.upstream.m2m import M2m, running_m2m

# Its first use installs it.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def m2m(tmp_path_factory: pytest.TempPathFactory) -> Iterator[M2m]:
    with running_m2m(tmp_path_factory.mktemp("m2m")) as server:
        yield server


async def works(person: Person, *arguments: str) -> None:
    """List the tools of its backends and call one of each."""
    server = StdioServerParameters(
        command=FAIRLEAD[0], args=[*FAIRLEAD[1:], "connect", *arguments], env=person.environment
    )
    async with Client(stdio_client(server), mode="legacy") as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names
        for name in names:
            (content,) = (await client.call_tool(name, {"command": "echo through m2m"})).content
            assert isinstance(content, types.TextContent)
            assert "through m2m" in content.text


async def test_keys_are_exchanged_with_its_key_server(person: Person, m2m: M2m) -> None:
    key = person.home / "keys" / "m2m"
    server = f"http://127.0.0.1:{m2m.key_server_port}"
    await works(person, "--client-key", str(key), "--key-server", server, f"ssh://mcp@127.0.0.1:{m2m.port}")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not (person.ssh / "known_hosts").exists()


async def test_with_known_hosts_the_key_server_only_takes_the_clients_key(person: Person, m2m: M2m) -> None:
    known_hosts = person.home / "known"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    known_hosts.write_text(f"[127.0.0.1]:{m2m.port} {other}\n")
    key = person.home / "keys" / "m2m"
    keys_from = f"http://127.0.0.1:{m2m.key_server_port}"
    arguments = ("--client-key", str(key), "--known-hosts", str(known_hosts), "--key-server", keys_from)
    url = f"ssh://mcp@127.0.0.1:{m2m.port}"
    refused = person.runs("connect", *arguments, url)
    assert (refused.returncode, "trust only" in refused.stderr) == (1, True)
    known_hosts.write_text(f"[127.0.0.1]:{m2m.port} {m2m.host_key}\n")
    await works(person, *arguments, url)


def test_an_unknown_host_key_is_refused(person: Person, m2m: M2m) -> None:
    key: Path = person.home / "keys" / "m2m"
    result = person.runs("connect", "--client-key", str(key), f"ssh://mcp@127.0.0.1:{m2m.port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert "presented the" in result.stderr
    assert "has no entry for it" in result.stderr
