"""The limits: bare asyncssh, and an MCP server whose only tool does nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncssh

from benchmarks.clients import Era, connect
from benchmarks.contestants import Contestant, Host, Ran, Session, family
from benchmarks.ports import free_port
from benchmarks.processes import python, running

RETRY_SECONDS = 0.002


@contextlib.asynccontextmanager
async def _bare(host: Host) -> AsyncIterator[Session]:
    sshd = host.sshd
    connection: asyncssh.SSHClientConnection | None = None
    connecting = asyncio.Lock()

    async def connected() -> asyncssh.SSHClientConnection:
        nonlocal connection
        async with connecting:
            if connection is None:
                connection = await asyncssh.connect(
                    sshd.address,
                    host.port,
                    username=sshd.username,
                    client_keys=[sshd.client_key],
                    known_hosts=([asyncssh.import_public_key(sshd.host_key)], [], []),
                    config=None,
                    agent_path=None,
                    encryption_algs=["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"],
                )
            return connection

    async def run(command: str) -> Ran:
        over = connection or await connected()
        while True:
            try:
                result = await over.run(command, encoding=None)
                break
            except asyncssh.ChannelOpenError:
                # No session was free: the server frees one only after its client saw the end.
                await asyncio.sleep(RETRY_SECONDS)
        if result.exit_status != 0:
            msg = f"the command ended with {result.exit_status}"
            raise RuntimeError(msg)
        size = len(result.stdout or b"")
        return Ran(size, size)

    async def upload(local: Path, remote: str) -> None:
        async with (await connected()).start_sftp_client() as sftp:
            await sftp.put(local, remote)

    async def download(remote: str, local: Path) -> None:
        async with (await connected()).start_sftp_client() as sftp:
            await sftp.get(remote, local)

    try:
        yield Session(run, (), upload, download)
    finally:
        if connection is not None:
            connection.close()
            await connection.wait_closed()


@contextlib.asynccontextmanager
async def _noop(era: Era, host: Host) -> AsyncIterator[Session]:
    port = free_port()
    command = python("-m", "benchmarks.noop_server", str(port))
    url = f"http://127.0.0.1:{port}/mcp"
    with running(command, url=url, log=host.directory / "log") as process:
        async with connect(url, era=era) as client:

            async def run(_: str) -> Ran:
                await client.call_tool("noop")
                return Ran(0, 0)

            yield Session(run, tuple(family(process)))


BARE = Contestant("bare asyncssh `conn.run`", _bare)
NOOP_HANDSHAKE = Contestant("no-op MCP tool, 2025-11-25", partial(_noop, "legacy"))
NOOP_MODERN = Contestant("no-op MCP tool, 2026-07-28", partial(_noop, "auto"))
