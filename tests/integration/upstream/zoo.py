"""Published MCP servers on a host, and ones that misbehave, all behind one sidecar."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from fairlead_sidecar.config import HttpServer, McpServer, StdioServer, Variable
from tests.integration.app.endpoint import PATH, RunningEndpoint, running
from tests.integration.app.hosted import DIFFICULT, MOUNTS, PYTHON, ready, stdio
from tests.integration.sshd import Sshd, free_port, require_sshd, until
from tests.upstreams.install import Published, installed

PUBLISHED = "/mnt/published"
"""Where the host has what is installed."""


@dataclass(frozen=True)
class Zoo:
    """A host with its servers."""

    endpoint: RunningEndpoint
    published: Published
    directory: Path
    """With `files` and `memory.json`, which its servers work on."""
    ports: dict[str, int]
    """Of server-everything, by its mode."""

    def url(self, server: str | None = None) -> str:
        """The endpoint of all servers, or of one."""
        return self.endpoint.url if server is None else f"{self.endpoint.origin}{PATH}/servers/{server}/mcp"

    def status(self, server: str) -> Any:
        """How a server stands."""
        return next(each for each in self.endpoint.sidecar.status().mcp_servers if each.name == server)


def mounts(published: Published) -> tuple[str, ...]:
    """What puts the interpreter and the published servers onto the host."""
    return (*MOUNTS, f"mkdir {PUBLISHED}", f"mount --bind {published.directory} {PUBLISHED}")


def node(name: str, package: str, *args: str, variables: tuple[Variable, ...] = ()) -> McpServer:
    """A server from npm."""
    script = f"{PUBLISHED}/npm/node_modules/@modelcontextprotocol/{package}/dist/index.js"
    server = StdioServer(command="node", args=(script, *args), variables=variables)
    return McpServer(name=name, server=server)


def python(name: str, module: str, *args: str) -> McpServer:
    """A server from PyPI. The scripts of its environment name a directory that the host does not have."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    variables = (
        Variable(name="PYTHONPATH", value=f"{PUBLISHED}/python/lib/{version}/site-packages"),
        Variable(name="LD_LIBRARY_PATH", value=f"{PYTHON}/lib"),
    )
    server = StdioServer(command=f"{PYTHON}/bin/python3", args=("-m", module, *args), variables=variables)
    return McpServer(name=name, server=server)


def difficult(name: str, *args: str, **changes: Any) -> McpServer:
    """The server that misbehaves when asked to."""
    return stdio(name, *args, script=DIFFICULT, **changes)


@contextmanager
def everything_on_http(published: Published, mode: str, log: Path) -> Iterator[int]:
    """server-everything in one of its HTTP modes; gives the port."""
    port = free_port()
    command = [*published.node("server-everything"), mode]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, "PORT": str(port)}, stdout=output, stderr=output)
    try:
        until(lambda: _listens(process.pid), f"server-everything {mode}")
        yield port
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(60)


@contextmanager
def started(directory: Path, published: Published) -> Iterator[Sshd]:
    """A host that has the published servers."""
    require_sshd()
    sshd = Sshd(directory, mounts=mounts(published))
    sshd.start()
    try:
        yield sshd
    finally:
        sshd.stop()


def _listens(pid: int) -> bool:
    return any(each.status == psutil.CONN_LISTEN for each in psutil.Process(pid).net_connections())


@asynccontextmanager
async def zoo(directory: Path, *more: McpServer) -> AsyncIterator[Zoo]:
    """All servers behind one sidecar; those of `more` need not become ready."""
    published = installed()
    with ExitStack() as stack:
        ports = {
            mode: stack.enter_context(everything_on_http(published, mode, directory / mode))
            for mode in ("streamableHttp", "sse")
        }
        http = HttpServer(url=f"http://127.0.0.1:{ports['streamableHttp']}/mcp")
        sse = HttpServer(url=f"http://127.0.0.1:{ports['sse']}/sse", transport="SSE")
        (directory / "files").mkdir()
        memory = Variable(name="MEMORY_FILE_PATH", value=str(directory / "memory.json"))
        well = (
            node("everything", "server-everything"),
            McpServer(name="everything-http", server=http),
            McpServer(name="everything-sse", server=sse),
            node("files", "server-filesystem", str(directory / "files")),
            node("memory", "server-memory", variables=(memory,)),
            python("fetch", "mcp_server_fetch", "--ignore-robots-txt"),
            python("git", "mcp_server_git"),
            python("time", "mcp_server_time", "--local-timezone", "Europe/Vienna"),
        )
        sshd = stack.enter_context(started(directory / "sshd", published))
        async with running(sshd.sidecar_config(mcp_servers=(*well, *more))) as endpoint:
            await ready(endpoint, *(server.name for server in well))
            yield Zoo(endpoint, published, directory, ports)
