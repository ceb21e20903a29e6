"""Fairlead: a sidecar as the pod runs it, over Streamable HTTP, and `fairlead serve` on stdio."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial

import psutil
from mcp.client import Client

from benchmarks.clients import Era, connect, start
from benchmarks.contestants import Contestant, Host, Ran, Session, family
from benchmarks.ports import free_port
from benchmarks.processes import python, running
from fairlead_sidecar import tokens
from fairlead_sidecar.config import CONFIG_KEY, Limits, Permission, TokenGrant

CALL_SECONDS = 300.0


@contextlib.asynccontextmanager
async def _over_http(era: Era, host: Host) -> AsyncIterator[Session]:
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
    config = host.sshd.sidecar_config(tokens=(grant,), limits=limits)
    config = config.model_copy(update={"target": config.target.model_copy(update={"port": host.port})})
    file = host.directory / CONFIG_KEY
    file.write_text(config.render())
    command = python(
        *("-m", "fairlead_sidecar", "--config", str(file), "--address", "127.0.0.1"),
        *("--port", str(port), "--internal-port", str(internal_port), "--log-level", "WARNING"),
    )
    url = f"http://127.0.0.1:{port}/mcp"
    with running(command, url=url, log=host.directory / "log") as process:
        async with connect(url, era=era, token=token) as client:
            yield _session(client, process)


@contextlib.asynccontextmanager
async def _on_stdio(era: Era, host: Host) -> AsyncIterator[Session]:
    command = python(
        *("-m", "fairlead_client", "serve", "--stdio", "--identity", str(host.key)),
        *("--known-hosts", str(host.known_hosts), f"{host.sshd.username}@{host.sshd.address}:{host.port}"),
    )
    with (host.directory / "log").open("w") as log:
        async with start(command, environment=host.environment, log=log, era=era) as (client, process):
            yield _session(client, process)


def _session(client: Client, process: psutil.Process) -> Session:
    async def run(command: str) -> Ran:
        result = await client.call_tool("execute_command", {"command": command})
        content = result.structured_content
        if result.is_error or content is None or content["exit_code"] != 0:
            msg = f"execute_command failed: {str(content or result.content)[:300]}"
            raise RuntimeError(msg)
        return Ran(content["stdout_bytes"], len(content["stdout"].encode()))

    return Session(run, tuple(family(process)))


HANDSHAKE = Contestant("Fairlead, HTTP, 2025-11-25", partial(_over_http, "legacy"))
MODERN = Contestant("Fairlead, HTTP, 2026-07-28", partial(_over_http, "auto"))
STDIO = Contestant("Fairlead, stdio, 2026-07-28", partial(_on_stdio, "auto"), early_login=True)
FAIRLEAD = (HANDSHAKE, MODERN, STDIO)
