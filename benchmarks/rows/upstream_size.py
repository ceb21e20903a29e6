"""Many MCP servers on one host, and big results of theirs."""

import asyncio
import contextlib
import time
from pathlib import Path

import psutil
from mcp.client import Client

from benchmarks.clients import Era
from benchmarks.contestants import Host, Ran, Session, family
from benchmarks.fairlead import serving
from benchmarks.memory import watched
from benchmarks.rows.section import Result, at_most
from benchmarks.stage import Stage
from benchmarks.stats import percentile
from benchmarks.upstream import http_running, http_server, ready, stdio_server

SERVERS = 50
LISTS = 20
BIG_BYTES = 10 * 2**20
WARM_BYTES = 100_000
GROWTH_MIB = 32
NAMES: dict[Era, str] = {"legacy": "2025-11-25", "auto": "2026-07-28"}


async def measure(stage: Stage) -> Result:
    """One sidecar for the many servers, a fresh one for each big result."""
    many = 3 if stage.quick else SERVERS
    rows = [await _none(stage), *await _many(stage, many)]
    grown = {(kind, era): await _big(stage, kind, era) for kind in ("stdio", "HTTP") for era in NAMES}
    rows += [
        (f"result of 10 MiB, {kind} server, {era}: growth", f"{mib:.1f} MiB") for (kind, era), mib in grown.items()
    ]
    return Result(
        title="Many servers, big results",
        text=(
            f"{many} stdio servers on one host: from the start of the sidecar's process until all can be used, its "
            f"resident memory then, and `tools/list` of all of them (p50 of {LISTS}). A result of 10 MiB after small "
            "ones, in a fresh sidecar: how far its resident memory goes above where it stood before the call, sampled "
            "every 10 ms."
        ),
        header=("", "measured"),
        rows=tuple(rows),
        targets=(at_most("growth over a result of 10 MiB", GROWTH_MIB, list(grown.values()), " MiB", 1),),
    )


async def _none(stage: Stage) -> tuple[str, str]:
    host = _host(stage, "no-servers")
    with serving(host) as served:
        async with served.client("auto") as client:
            await client.call_tool("connection_status", {})
            return "memory without servers", f"{_mib(served.process):.1f} MiB"


async def _many(stage: Stage, count: int) -> list[tuple[str, str]]:
    servers = tuple(stdio_server(f"server-{number}") for number in range(count))
    host = _host(stage, "many-servers")
    start = time.monotonic()
    with serving(host, mcp_servers=servers) as served:
        await ready(served)
        started = time.monotonic() - start
        rows = [
            (f"{count} servers: start until all are ready", f"{started:.1f} s"),
            (f"{count} servers: memory", f"{_mib(served.process):.1f} MiB"),
        ]
        for era, version in NAMES.items():
            async with served.client(era) as client:
                rows.append((f"{count} servers: tools/list, {version}", f"{await _list_ms(client):.1f} ms"))
    return rows


async def _list_ms(client: Client) -> float:
    taken = []
    for _ in range(LISTS):
        start = time.perf_counter()
        await client.list_tools(cache_mode="refresh")
        taken.append((time.perf_counter() - start) * 1000)
    return percentile(taken, 50)


async def _big(stage: Stage, kind: str, era: Era) -> float:
    host = _host(stage, f"big-{kind}-{era}")
    async with contextlib.AsyncExitStack() as stack:
        if kind == "stdio":
            server = stdio_server("big")
        else:
            server = http_server("big", stack.enter_context(http_running(host.directory)))
        served = stack.enter_context(serving(host, mcp_servers=(server,)))
        await ready(served)
        client = await stack.enter_async_context(served.client(era))
        for _ in range(5):
            await client.call_tool("big__big", {"size": WARM_BYTES})
        await asyncio.sleep(0.5)
        async with watched(Session(_no_command, tuple(family(served.process)))) as peak:
            result = await client.call_tool("big__big", {"size": BIG_BYTES})
        if result.is_error:
            msg = f"the big result is an error: {str(result.content)[:200]}"
            raise RuntimeError(msg)
        stage.say(f"10 MiB, {kind}, {era}: {peak.growth:.1f} MiB")
        return peak.growth


def _host(stage: Stage, name: str) -> Host:
    directory: Path = stage.directory / name
    directory.mkdir(mode=0o700)
    return Host(stage.sshd, directory, stage.sshd.port)


def _mib(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20


async def _no_command(command: str) -> Ran:
    raise NotImplementedError
