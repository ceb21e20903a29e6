"""Calls of MCP servers that live on the host."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
from mcp.client import Client

from benchmarks.clients import Era, connect
from benchmarks.contestants import Host
from benchmarks.fairlead import serving
from benchmarks.peers import m2m
from benchmarks.peers.install import installed
from benchmarks.rows.section import NOTHING, Result, Target, ahead, at_most
from benchmarks.stage import Stage
from benchmarks.stats import percentile
from benchmarks.upstream import (
    forwarded,
    http_running,
    http_server,
    ready,
    served_on_stdio,
    stdio_command,
    stdio_server,
)

ROUNDS = 30
CALLS_PER_TURN = 10
WARM_UP_CALLS = 30
CALL_SECONDS = 30
ADDED_MS = 1.5
NAMES: dict[Era, str] = {"legacy": "2025-11-25", "auto": "2026-07-28"}
M2M = "stdio server, m2m client and server"

Call = Callable[[], Awaitable[Any]]
Times = dict[str, list[float]]


def direct(era: Era, *, session: bool = True) -> str:
    """The row of a call by hand."""
    return f"HTTP server, ssh{'' if session else ' -N'} -L, {NAMES[era]}"


def through(kind: str, era: Era) -> str:
    """The row of a call through Fairlead."""
    return f"{kind} server, Fairlead, {NAMES[era]}"


def on_stdio(era: Era) -> str:
    """The row of a call of the stdio server through Fairlead whose client is on stdio too."""
    return f"stdio server, Fairlead on stdio, {NAMES[era]}"


async def measure(stage: Stage) -> Result:
    """All are open at once and take turns, so that whatever else the machine does hits all alike."""
    notes: list[str] = []
    directory = stage.directory / "upstream"
    directory.mkdir(mode=0o700)
    host = Host(stage.sshd, directory, stage.sshd.port)
    calls: dict[str, Call] = {}
    processes: dict[str, tuple[psutil.Process, ...]] = {}
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(http_running(directory))
        servers = (http_server("http", port), stdio_server("stdio"))
        served = stack.enter_context(serving(host, mcp_servers=servers))
        await ready(served)
        tunnels = {session: stack.enter_context(forwarded(host, port, session=session)) for session in (True, False)}
        for era in NAMES:
            for session, tunnel in tunnels.items():
                hand = await stack.enter_async_context(connect(f"http://127.0.0.1:{tunnel}/mcp", era=era))
                calls[direct(era, session=session)] = _call(hand, "noop")
            client = await stack.enter_async_context(served.client(era))
            for kind in ("HTTP", "stdio"):
                calls[through(kind, era)] = _call(client, f"{kind.lower()}__noop")
                processes[through(kind, era)] = (served.process,)
            calls_on_stdio, family = await stack.enter_async_context(served_on_stdio(host, era))
            calls[on_stdio(era)], processes[on_stdio(era)] = _call(calls_on_stdio, "stdio__noop"), family
        if stage.peers:
            try:
                client, processes[M2M] = await stack.enter_async_context(_m2m(stage))
                calls[M2M] = _call(client, "noop")
            except Exception as error:  # noqa: BLE001 - a peer may fail in any way; it is said on the page
                notes.append(f"{M2M}: {type(error).__name__}: {error}")
        times, cpu = await _turns(stage, calls, processes)
    return Result(
        title="Calls of MCP servers on the host",
        text=(
            f"A tool that does nothing, {ROUNDS} rounds of {CALLS_PER_TURN} calls each, in turns. The HTTP server is "
            "reached through `ssh -L` by the same client, or through Fairlead's endpoint; added is the difference of "
            "the two p50s, where a session runs beside the tunnel (`-N`: none, and sshd holds small packets back). The "
            "stdio server, one file without libraries, is the same behind Fairlead and behind m2m. m2m's client is on "
            "stdio; so is Fairlead's where it says so (`fairlead serve --stdio`), else it is an HTTP endpoint. "
            "CPU is what Fairlead's process, or both of m2m's, spend on a call."
        ),
        header=("", "p50 ms", "p95 ms", "added ms", "CPU ms a call"),
        rows=tuple(_row(times, cpu, name) for name in calls),
        notes=tuple(notes),
        targets=tuple(_targets(times)),
    )


@contextlib.asynccontextmanager
async def _m2m(stage: Stage) -> Any:
    place = installed()
    directory = stage.directory / "upstream-m2m"
    directory.mkdir(mode=0o700)
    host = Host(stage.sshd, directory, stage.sshd.port)
    async with m2m.pair(place / "m2m" / "bin", place / "m2m-server", host, stdio_command()) as opened:
        yield opened


async def _turns(
    stage: Stage, calls: dict[str, Call], processes: dict[str, tuple[psutil.Process, ...]]
) -> tuple[Times, dict[str, float]]:
    times: Times = {name: [] for name in calls}
    spent = dict.fromkeys(processes, 0.0)
    for call in calls.values():
        await _timed(call, 2 if stage.quick else WARM_UP_CALLS)
    for _ in range(2 if stage.quick else ROUNDS):
        for name, call in calls.items():
            before = _cpu_seconds(processes.get(name, ()))
            times[name] += await _timed(call, CALLS_PER_TURN)
            if name in spent:
                spent[name] += _cpu_seconds(processes[name]) - before
    return times, {name: seconds * 1000 / len(times[name]) for name, seconds in spent.items()}


def _call(client: Client, tool: str) -> Call:
    async def call() -> None:
        result = await client.call_tool(tool, {})
        if result.is_error:
            msg = f"{tool} failed: {str(result.content)[:300]}"
            raise RuntimeError(msg)

    return call


async def _timed(call: Call, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        async with asyncio.timeout(CALL_SECONDS):
            await call()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def _cpu_seconds(processes: tuple[psutil.Process, ...]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _added(times: Times, era: Era) -> float:
    return percentile(times[through("HTTP", era)], 50) - percentile(times[direct(era)], 50)


def _row(times: Times, cpu: dict[str, float], name: str) -> tuple[str, ...]:
    added = {through("HTTP", era): _added(times, era) for era in NAMES}.get(name)
    return (
        name,
        f"{percentile(times[name], 50):.2f}",
        f"{percentile(times[name], 95):.2f}",
        NOTHING if added is None else f"{added:.2f}",
        f"{cpu[name]:.1f}" if name in cpu else "",
    )


def _targets(times: Times) -> list[Target]:
    found = [at_most("HTTP server, added to ssh -L, p50", ADDED_MS, [_added(times, era) for era in NAMES], " ms")]
    theirs = [percentile(times[M2M], 50)] if M2M in times else []
    ours = [percentile(times[through("stdio", era)], 50) for era in NAMES]
    alike = [percentile(times[on_stdio(era)], 50) for era in NAMES]
    return [
        *found,
        ahead("stdio server, client on HTTP, p50", ours, theirs, " ms"),
        ahead("stdio server, client on stdio, p50", alike, theirs, " ms"),
    ]
