"""Values from Secrets that the configuration names and that are not there."""

import asyncio
from pathlib import Path

import httpx

from fairlead_sidecar.config import (
    Environment,
    Header,
    HttpServer,
    McpServer,
    Policy,
    SecretValue,
    StdioServer,
    Sudo,
    Variable,
)
from tests.integration.app.endpoint import RunningEndpoint, until


async def test_missing_values_are_named_until_they_appear(hostless: RunningEndpoint, tmp_path: Path) -> None:
    def value(key: str) -> SecretValue:
        return SecretValue(file=tmp_path / key, name=f"app/{key}")

    async with httpx.AsyncClient(timeout=30) as http:
        url = f"{hostless.internal_url}/statusz"
        assert (await http.get(url)).json()["missing_values"] == []
        hostless.reconfigure(
            environment=Environment(variables=(Variable(name="TOKEN", secret=value("token")),)),
            policy=Policy(sudo=Sudo(type="Password", password=value("sudo")), redact=(value("salt"), value("token"))),
        )
        await hostless.settled()
        named = (await http.get(url)).json()
        assert named["missing_values"] == ["app/salt", "app/sudo", "app/token"]
        # Nothing else wakes the one who waits: the host is unreachable, the configuration stays.
        (tmp_path / "salt").write_text("x")
        await until(lambda: hostless.sidecar.status().missing_values == ("app/sudo", "app/token"), "it is noticed")
        version = hostless.sidecar.status().version
        poll = asyncio.create_task(http.get(url, params={"after": version, "timeout": 20}))
        for key in ("sudo", "token"):
            (tmp_path / key).write_text("x")
        await poll
        await until(lambda: not hostless.sidecar.status().missing_values, "nothing is missing any more")


async def test_missing_values_of_mcp_servers_are_named(hostless: RunningEndpoint, tmp_path: Path) -> None:
    def value(key: str) -> SecretValue:
        return SecretValue(file=tmp_path / key, name=f"app/{key}")

    stdio = StdioServer(command="x", variables=(Variable(name="TOKEN", secret=value("token")),))
    web = HttpServer(url="http://127.0.0.1:1/mcp", headers=(Header(name="Authorization", secret=value("header")),))
    hostless.reconfigure(mcp_servers=(McpServer(name="stock", server=stdio), McpServer(name="web", server=web)))
    await hostless.settled()
    assert hostless.sidecar.status().missing_values == ("app/header", "app/token")
    (tmp_path / "header").write_text("x")
    await until(lambda: hostless.sidecar.status().missing_values == ("app/token",), "it is noticed")
