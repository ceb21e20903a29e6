"""mcp-remote-ssh (PyPI), on stdio and over Streamable HTTP."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import psutil
from mcp.client import Client

from benchmarks.clients import connect, start
from benchmarks.contestants import Host, Ran, Session, family
from benchmarks.peers.answers import structured
from benchmarks.ports import free_port
from benchmarks.processes import running

TIMEOUT_SECONDS = 300


def stdio(directory: Path) -> Callable[[Host], AbstractAsyncContextManager[Session]]:
    """Started by its client."""
    return partial(_on_stdio, directory / "bin" / "mcp-remote-ssh")


def http(directory: Path) -> Callable[[Host], AbstractAsyncContextManager[Session]]:
    """A server of its own."""
    return partial(_over_http, directory / "bin" / "mcp-remote-ssh")


@contextlib.asynccontextmanager
async def _on_stdio(program: Path, host: Host) -> AsyncIterator[Session]:
    with (host.directory / "log").open("w") as log:
        async with start([str(program)], environment=host.environment, log=log, era="legacy") as (client, process):
            yield _Login(client, host).session(process)


@contextlib.asynccontextmanager
async def _over_http(program: Path, host: Host) -> AsyncIterator[Session]:
    port = free_port()
    command = [str(program), "--transport", "streamable-http", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/mcp"
    with running(command, url=url, log=host.directory / "log", environment=host.environment) as process:
        async with connect(url, era="legacy") as client:
            yield _Login(client, host).session(process)


class _Login:
    """Its SSH session, which a tool of its own opens; here with the first call."""

    def __init__(self, client: Client, host: Host) -> None:
        self._client = client
        self._host = host
        self._id: str | None = None
        self._opening = asyncio.Lock()

    def session(self, process: psutil.Process) -> Session:
        return Session(self.run, tuple(family(process)), self.upload, self.download)

    async def run(self, command: str) -> Ran:
        arguments = {"session_id": await self._session_id(), "command": command, "timeout": TIMEOUT_SECONDS}
        result = structured(await self._client.call_tool("ssh_execute", arguments))
        if result["exit_code"] != 0:
            msg = f"the command ended with {result['exit_code']}"
            raise RuntimeError(msg)
        return Ran(len(result["stdout"]), len(result["stdout"]))

    async def upload(self, local: Path, remote: str) -> None:
        paths = {"local_path": os.fspath(local), "remote_path": remote}
        structured(await self._client.call_tool("ssh_upload_file", {"session_id": await self._session_id(), **paths}))

    async def download(self, remote: str, local: Path) -> None:
        paths = {"remote_path": remote, "local_path": os.fspath(local)}
        structured(await self._client.call_tool("ssh_download_file", {"session_id": await self._session_id(), **paths}))

    async def _session_id(self) -> str:
        async with self._opening:
            if self._id is None:
                sshd = self._host.sshd
                target = {"host": sshd.address, "port": self._host.port, "username": sshd.username}
                arguments = {**target, "key_path": str(self._host.key)}
                self._id = str(structured(await self._client.call_tool("ssh_connect", arguments))["session_id"])
            return self._id
