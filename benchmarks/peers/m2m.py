"""m2m-mcp-server-ssh-client and -server (PyPI): MCP on stdio through an SSH server of its own, which serves `sh`."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import asyncssh
import psutil
from mcp.client import Client

from benchmarks.clients import start
from benchmarks.contestants import Host, Ran, Session, family
from benchmarks.peers.answers import text
from benchmarks.ports import free_port
from benchmarks.processes import listening

SH_SERVER = Path(__file__).with_name("sh_server.py")


def stdio(environment: Path, server: Path) -> Callable[[Host], AbstractAsyncContextManager[Session]]:
    """The client started by the MCP client, the server beside it."""
    return partial(_on_stdio, environment / "bin", server)


@contextlib.asynccontextmanager
async def pair(
    programs: Path, server_code: Path, host: Host, backend: Sequence[str]
) -> AsyncIterator[tuple[Client, tuple[psutil.Process, ...]]]:
    """Both, with a backend that is started by this command; a client, and their processes."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (host.directory / "host-key").write_bytes(key.export_private_key("openssh"))
    (host.directory / "host-key").chmod(0o600)
    configuration = host.directory / "servers.json"
    configured = {"command": backend[0], "args": list(backend[1:])}
    configuration.write_text(json.dumps({"mcpServers": {"backend": configured}}))
    port = free_port()
    server_command = [
        *(str(programs / "python"), "-m", "m2m_mcp_server_ssh_server", "--port", str(port)),
        *("--server-key", str(host.directory / "host-key"), "--servers-config", str(configuration)),
        *("--authorized-clients", str(host.sshd.home / ".ssh" / "authorized_keys"), "--log-level", "ERROR"),
    ]
    known_hosts = host.directory / "known_hosts_m2m"
    known_hosts.write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode().strip()}\n")
    client_command = [
        *(str(programs / "m2m-mcp-server-ssh-client"), "--host", "127.0.0.1", "--port", str(port)),
        *("--username", host.sshd.username, "--client-key", str(host.key), "--known-hosts", str(known_hosts)),
        *("--log-level", "ERROR"),
    ]
    environment = {**host.environment, "PYTHONPATH": str(server_code)}
    with (
        listening(server_command, port=port, log=host.directory / "server.log", environment=environment) as server,
        (host.directory / "log").open("w") as log,
    ):
        async with start(client_command, environment=host.environment, log=log, era="legacy") as (client, process):
            await client.list_tools()  # its server knows no tool by name before it has listed them
            yield client, (*family(process), *family(server))


@contextlib.asynccontextmanager
async def _on_stdio(programs: Path, server_code: Path, host: Host) -> AsyncIterator[Session]:
    backend = (str(programs / "python"), str(SH_SERVER))
    async with pair(programs, server_code, host, backend) as (client, processes):

        async def run(command: str) -> Ran:
            answer = text(await client.call_tool("sh", {"command": command}))
            return Ran(len(answer), len(answer))

        # Its client logs in, and its server starts `sh`, before anything is answered.
        yield Session(run, processes)
