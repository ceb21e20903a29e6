"""Fairlead: a sidecar as the pod runs it, over Streamable HTTP, and `fairlead serve` on stdio."""

import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from mcp.client import Client

from benchmarks.clients import Era, connect, start
from benchmarks.contestants import Contestant, Host, Ran, Session, family
from benchmarks.ports import free_port
from benchmarks.processes import python, running
from fairlead_sidecar import tokens
from fairlead_sidecar.config import CONFIG_KEY, Limits, Permission, TokenGrant

CALL_SECONDS = 300.0
UPLOAD_BYTES = 2 * 2**20
"""In base64 within the 4 MiB that a request may have."""
DOWNLOAD_BYTES = 2**20
"""Asked for; an answer carries what fits into a message."""


@dataclass(frozen=True)
class Served:
    """A sidecar that runs."""

    origin: str
    internal: str
    token: str
    process: psutil.Process

    def client(self, era: Era) -> AbstractAsyncContextManager[Client]:
        """A client of it."""
        return connect(f"{self.origin}/mcp", era=era, token=self.token)


@contextlib.contextmanager
def serving(host: Host, **changes: Any) -> Iterator[Served]:
    """A sidecar as the pod runs it; `changes` are of its configuration."""
    port, internal_port = free_port(), free_port()
    token = tokens.mint()
    grant = TokenGrant(
        id=token.split("_")[1],
        uid="bench",
        subject="bench",
        secret_sha256=tokens.sha256_hex(token),
        permissions=frozenset(Permission),
    )
    limits = Limits(command_timeout=CALL_SECONDS, foreground_timeout=CALL_SECONDS)
    config = host.sshd.sidecar_config(tokens=(grant,), limits=limits, **changes)
    config = config.model_copy(update={"target": config.target.model_copy(update={"port": host.port})})
    file = host.directory / CONFIG_KEY
    file.write_text(config.render())
    command = python(
        *("-m", "fairlead_sidecar", "--config", str(file), "--address", "127.0.0.1"),
        *("--port", str(port), "--internal-port", str(internal_port), "--log-level", "WARNING"),
    )
    origin = f"http://127.0.0.1:{port}"
    with running(command, url=f"{origin}/mcp", log=host.directory / "log") as process:
        yield Served(origin, f"http://127.0.0.1:{internal_port}", token, process)


@contextlib.asynccontextmanager
async def _over_http(era: Era, host: Host) -> AsyncIterator[Session]:
    with serving(host) as served:
        async with served.client(era) as client:
            yield _session(client, served.process)


@contextlib.asynccontextmanager
async def _on_stdio(era: Era, host: Host) -> AsyncIterator[Session]:
    command = python(
        *("-m", "fairlead_client", "serve", "--stdio", "--identity", str(host.key)),
        *("--known-hosts", str(host.known_hosts), f"{host.sshd.username}@{host.sshd.address}:{host.port}"),
    )
    with (host.directory / "log").open("w") as log:
        async with start(command, environment=host.environment, log=log, era=era) as (client, process):
            yield _session(client, process)


class _Tools:
    """Fairlead's tools, called as an agent calls them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, command: str) -> Ran:
        content = await self._call("execute_command", command=command)
        if content.get("exit_code") != 0:
            msg = f"the command did not end with 0: {str(content)[:300]}"
            raise RuntimeError(msg)
        answered = len(content["stdout"].encode())
        return Ran(content.get("stdout_bytes", answered), answered)

    async def upload(self, local: Path, remote: str) -> None:
        """Piece by piece, because a message carries only so much."""
        with local.open("rb") as file:
            first = True
            while data := file.read(UPLOAD_BYTES):
                piece = {"content": base64.b64encode(data).decode(), "encoding": "base64", "append": not first}
                await self._call("write_file", path=remote, **piece)
                first = False

    async def download(self, remote: str, local: Path) -> None:
        with local.open("wb") as file:
            offset: int | None = 0
            while offset is not None:
                piece = await self._call("read_file", path=remote, offset=offset, max_bytes=DOWNLOAD_BYTES)
                content = piece["content"]
                file.write(base64.b64decode(content) if piece["encoding"] == "base64" else content.encode())
                offset = piece["next_offset"]

    async def _call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments)
        if result.is_error or result.structured_content is None:
            msg = f"{tool} failed: {str(result.structured_content or result.content)[:300]}"
            raise RuntimeError(msg)
        content: dict[str, Any] = result.structured_content
        return content


def _session(client: Client, process: psutil.Process) -> Session:
    tools = _Tools(client)
    return Session(tools.run, tuple(family(process)), tools.upload, tools.download)


HANDSHAKE = Contestant("Fairlead, HTTP, 2025-11-25", partial(_over_http, "legacy"))
MODERN = Contestant("Fairlead, HTTP, 2026-07-28", partial(_over_http, "auto"))
STDIO = Contestant("Fairlead, stdio, 2026-07-28", partial(_on_stdio, "auto"))
FAIRLEAD = (HANDSHAKE, MODERN, STDIO)
