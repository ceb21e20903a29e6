"""Upstream servers on the host of an endpoint: started over its sshd, like any other."""

import contextlib
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from fairlead_sidecar.config import McpServer, StdioServer, Variable
from tests.integration.app.endpoint import PATH, RunningEndpoint, running, until
from tests.integration.sshd import PATIENCE_SECONDS, Sshd

ROOT = Path(__file__).parents[3]
PACKAGES = tuple(str(ROOT / directory) for directory in ("", "crds", "sidecar"))
SshdFactory = Callable[..., Sshd]
TOOLBOX = Path(__file__).parent / "toolbox.py"
DIFFICULT = Path(__file__).parents[2] / "upstreams" / "difficult.py"
HANDSHAKE = "--handshake-only"
PYTHON = "/mnt/python"
MOUNTS = ("mount -t tmpfs tmpfs /mnt", f"mkdir {PYTHON}", f"mount --bind {sys.base_prefix} {PYTHON}")
"""What puts this interpreter onto a test's host, where the home directory that it may live in is hidden."""


def stdio(name: str, *args: str, script: Path = TOOLBOX, **changes: Any) -> McpServer:
    """A server of this interpreter's; `changes` are of its configuration."""
    variables = (
        Variable(name="PYTHONPATH", value=":".join((sysconfig.get_path("purelib"), *PACKAGES))),
        Variable(name="LD_LIBRARY_PATH", value=f"{PYTHON}/lib"),
    )
    server = StdioServer(command=f"{PYTHON}/bin/python3", args=(str(script), *args), variables=variables)
    return McpServer(name=name, server=server, **changes)


@contextlib.asynccontextmanager
async def hosting(
    sshd_factory: SshdFactory, *servers: McpServer, connected: tuple[str, ...] | None = None, **config: Any
) -> AsyncIterator[RunningEndpoint]:
    """An endpoint whose host has these servers, all of them (or those of `connected`) ready.

    Without any, it has one of each protocol era: `old` and `new`.
    """
    servers = servers or (stdio("old", HANDSHAKE), stdio("new"))
    sshd = sshd_factory(mounts=MOUNTS)
    async with running(sshd.sidecar_config(mcp_servers=servers, **config)) as endpoint:
        await ready(endpoint, *(server.name for server in servers if connected is None or server.name in connected))
        yield endpoint


async def ready(endpoint: RunningEndpoint, *names: str) -> None:
    """Wait until servers can be used."""

    def usable() -> bool:
        status = {server.name: server.ready for server in endpoint.sidecar.status().mcp_servers}
        return all(status.get(name) for name in names)

    await until(usable, f"{names} to be ready: {endpoint.sidecar.status().mcp_servers}", seconds=2 * PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def alone(
    endpoint: RunningEndpoint, server: str, mode: str = "auto", token: str | None = None, **options: Any
) -> AsyncIterator[Client]:
    """The SDK's client at the own endpoint of a server."""
    url = f"{endpoint.origin}{PATH}/servers/{server}/mcp"
    async with (
        httpx2.AsyncClient(headers=endpoint.bearer(token), timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, **options) as client,
    ):
        yield client
