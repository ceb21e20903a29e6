"""`python -m benchmarks`: tool calls beside their limits, on a private sshd of this machine."""

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from benchmarks.clients import ERAS, Era, connect
from benchmarks.memory import Peak, watched
from benchmarks.overhead import (
    Latencies,
    Throughput,
    bare_command,
    big_output,
    execute_command,
    latencies,
    noop_tool,
    patient,
    throughput,
)
from benchmarks.processes import Server, connected, python, running, wait_for
from fairlead_sidecar import tokens
from fairlead_sidecar.config import CONFIG_KEY, Limits, Permission, TokenGrant
from tests.integration.sshd import Sshd, free_port

BIG_OUTPUT_BYTES = 100_000_000
OUTPUT_LIMIT_BYTES = 128 * 1024
"""What a result carries of it. The client takes no event above 1 MiB, and a result holds its text twice, escaped."""
BARE_CONNECTIONS = 4
"""As many as Fairlead opens at most: one connection carries only MaxSessions (10) commands at once."""


@dataclass(frozen=True)
class EraReport:
    """One protocol era."""

    protocol: str
    latencies: Latencies
    throughput: Throughput
    big_output: Peak
    big_output_seconds: float


@dataclass(frozen=True)
class Report:
    """Everything that was measured in one run."""

    eras: tuple[EraReport, ...]
    idle_rss_mib: float
    """Connected, before the first call."""
    worked_rss_mib: float
    """After all calls."""


async def measure() -> Report:
    """Run everything, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with _sshd(directory) as sshd, _noop(directory) as noop, _fairlead(directory, sshd) as fairlead:
            async with _bare_connections(sshd) as connections:
                idle = fairlead.rss_mib()
                eras = [await _measure_era(era, connections, noop, fairlead) for era in ERAS]
                return Report(eras=tuple(eras), idle_rss_mib=idle, worked_rss_mib=fairlead.rss_mib())


async def _measure_era(
    era: Era, connections: list[asyncssh.SSHClientConnection], noop: Server, fairlead: Server
) -> EraReport:
    async with (
        connect(noop.url, era=era) as noop_client,
        connect(fairlead.url, era=era, token=fairlead.token) as client,
    ):
        # First, while the server is still as small as it gets.
        start = time.perf_counter()
        async with watched(fairlead) as peak:
            await big_output(client, BIG_OUTPUT_BYTES)
        big_output_seconds = time.perf_counter() - start
        single = await latencies(bare_command(connections[0]), noop_tool(noop_client), execute_command(client))
        many = Throughput(
            bare=await throughput([patient(bare_command(connection)) for connection in connections]),
            noop=await throughput([noop_tool(noop_client)]),
            fairlead=await throughput([execute_command(client)]),
        )
        return EraReport(client.protocol_version, single, many, peak, big_output_seconds)


@contextlib.contextmanager
def _sshd(directory: Path) -> Iterator[Sshd]:
    # An account of its own: root's start-up files on this machine would be part of every command's time.
    sshd = Sshd(directory / "sshd", username="deploy")
    sshd.start()
    try:
        yield sshd
    finally:
        sshd.stop()


@contextlib.contextmanager
def _noop(directory: Path) -> Iterator[Server]:
    port = free_port()
    command = python("-m", "benchmarks.noop_server", str(port))
    with running(command, url=f"http://127.0.0.1:{port}/mcp", log=directory / "noop.log") as server:
        yield server


@contextlib.contextmanager
def _fairlead(directory: Path, sshd: Sshd) -> Iterator[Server]:
    port = free_port()
    token = tokens.mint()
    grant = TokenGrant(
        id=token.split("_")[1],
        uid="bench",
        subject="bench",
        secret_sha256=tokens.sha256_hex(token),
        permissions=frozenset(Permission),
    )
    config = directory / CONFIG_KEY
    config.write_text(sshd.sidecar_config(tokens=(grant,), limits=Limits(output_bytes=OUTPUT_LIMIT_BYTES)).render())
    internal_port = free_port()
    command = python(
        *("-m", "fairlead_sidecar", "--config", str(config), "--address", "127.0.0.1"),
        *("--port", str(port), "--internal-port", str(internal_port), "--log-level", "WARNING"),
    )
    url = f"http://127.0.0.1:{port}/mcp"
    with running(command, url=url, log=directory / "fairlead.log", token=token) as server:
        wait_for(lambda: connected(internal_port), "the sidecar to be connected")
        yield server


@contextlib.asynccontextmanager
async def _bare_connections(sshd: Sshd) -> AsyncIterator[list[asyncssh.SSHClientConnection]]:
    known_hosts: tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]
    known_hosts = ([asyncssh.import_public_key(sshd.host_key)], [], [])
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                asyncssh.connect(
                    sshd.address,
                    sshd.port,
                    username=sshd.username,
                    client_keys=[sshd.client_key],
                    known_hosts=known_hosts,
                    config=None,
                    agent_path=None,
                )
            )
            for _ in range(BARE_CONNECTIONS)
        ]
