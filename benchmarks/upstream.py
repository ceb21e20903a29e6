"""MCP servers that do nothing, as servers of the host: reached through Fairlead and by hand."""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import psutil
from mcp.client import Client

from benchmarks.clients import Era, start
from benchmarks.contestants import Host, family
from benchmarks.fairlead import Served
from benchmarks.ports import free_port
from benchmarks.processes import listening, python, running
from fairlead_sidecar.config import HttpServer, McpServer, StdioServer

SECONDS = 120.0


def stdio_command() -> tuple[str, ...]:
    """What starts the server on standard input and output, whatever the account."""
    interpreter = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if interpreter is None:
        msg = "no python3 in /usr/bin or /usr/local/bin, which the host's account could run"
        raise RuntimeError(msg)
    return (interpreter, "-c", Path(__file__).with_name("noop_stdio.py").read_text())


def stdio_server(name: str) -> McpServer:
    """One that is started on the host."""
    command, *args = stdio_command()
    return McpServer(name=name, server=StdioServer(command=command, args=tuple(args)))


def http_server(name: str, port: int) -> McpServer:
    """One that listens on the host."""
    return McpServer(name=name, server=HttpServer(url=f"http://127.0.0.1:{port}/mcp"))


@contextlib.contextmanager
def http_running(directory: Path) -> Iterator[int]:
    """Start the one that listens; its port."""
    port = free_port()
    command = python("-m", "benchmarks.noop_server", str(port))
    with running(command, url=f"http://127.0.0.1:{port}/mcp", log=directory / "noop.log"):
        yield port


@contextlib.contextmanager
def forwarded(host: Host, port: int, *, session: bool) -> Iterator[int]:
    """`ssh -L` to a port of the host; the port here.

    Without a `session` beside it (`-N`) sshd lets Nagle's algorithm hold an answer's last packets back for 40 ms.
    """
    here = free_port()
    command = [
        *("ssh", *(() if session else ("-N",)), "-F", "none", "-i", str(host.key), "-p", str(host.port)),
        *("-o", f"UserKnownHostsFile={host.known_hosts}", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        *("-L", f"127.0.0.1:{here}:127.0.0.1:{port}", f"{host.sshd.username}@{host.sshd.address}"),
        *(("sleep infinity",) if session else ()),
    ]
    with listening(command, port=here, log=host.directory / "ssh.log", environment=host.environment):
        yield here


@contextlib.asynccontextmanager
async def served_on_stdio(host: Host, era: Era) -> AsyncIterator[tuple[Client, tuple[psutil.Process, ...]]]:
    """`fairlead serve --stdio --mcp-servers FILE` with the server `stdio`: a client that can call it, the processes."""
    command, *args = stdio_command()
    file = host.directory / f"servers-{era}.json"
    file.write_text(json.dumps({"mcpServers": {"stdio": {"command": command, "args": args}}}))
    serve = python(
        *("-m", "fairlead_client", "serve", "--stdio", "--identity", str(host.key), "--mcp-servers", str(file)),
        *("--known-hosts", str(host.known_hosts), f"{host.sshd.username}@{host.sshd.address}:{host.port}"),
    )
    with (host.directory / "serve.log").open("a") as log:
        async with start(serve, environment=host.environment, log=log, era=era) as (client, process):
            await _listed(client, "stdio__noop")
            yield client, tuple(family(process))


async def ready(served: Served) -> float:
    """Wait until all servers of a sidecar can be used; the seconds that it took from the call on.

    Raises:
        TimeoutError: They can't.
    """
    begun = time.monotonic()
    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                status = (await http.get(f"{served.internal}/statusz")).json()
                servers = status.get("mcpServers") or status.get("mcp_servers") or []
                if servers and all(server["ready"] for server in servers):
                    return time.monotonic() - begun
            await asyncio.sleep(0.05)


async def _listed(client: Client, tool: str) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            tools = await client.list_tools(cache_mode="refresh")
            if any(listed.name == tool for listed in tools.tools):
                return
            await asyncio.sleep(0.05)
