"""What Fairlead costs on top of what it joins: an SSH command and an MCP call.

A: bare asyncssh `conn.run`. B: a no-op MCP tool call. C: `execute_command` through Fairlead, same MCP client as B, same
sshd and command as A. Taken in turns within one run, so that whatever else the machine does hits all three alike.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from mcp.client import Client

from benchmarks.stats import percentile

COMMAND = "true"
ROUNDS = 30
CALLS_PER_TURN = 10
WARM_UP_CALLS = 20
CONCURRENCY = 32
CONCURRENT_CALLS = 640

Call = Callable[[], Awaitable[None]]


@dataclass
class Latencies:
    """Milliseconds of single calls, one after the other."""

    bare: list[float] = field(default_factory=list)
    noop: list[float] = field(default_factory=list)
    fairlead: list[float] = field(default_factory=list)

    def ratio(self, percent: int = 50) -> float:
        """C / (A + B) at that percentile."""
        limit = percentile(self.bare, percent) + percentile(self.noop, percent)
        return percentile(self.fairlead, percent) / limit


@dataclass(frozen=True)
class Throughput:
    """Calls a second at `CONCURRENCY` at once."""

    bare: float
    noop: float
    fairlead: float


def bare_command(connection: asyncssh.SSHClientConnection) -> Call:
    """A: the command over the connection."""

    async def call() -> None:
        result = await connection.run(COMMAND, encoding=None)
        if result.exit_status != 0:
            msg = f"the command ended with {result.exit_status}"
            raise RuntimeError(msg)

    return call


def patient(call: Call) -> Call:
    """The same call, repeated where the server has no session free: it frees one only after its client saw the end."""

    async def again() -> None:
        while True:
            try:
                return await call()
            except asyncssh.ChannelOpenError:
                await asyncio.sleep(0.002)

    return again


def noop_tool(client: Client) -> Call:
    """B: the tool that does nothing."""

    async def call() -> None:
        await client.call_tool("noop")

    return call


def execute_command(client: Client) -> Call:
    """C: the command through Fairlead."""

    async def call() -> None:
        await _execute(client, COMMAND)

    return call


async def big_output(client: Client, size: int) -> None:
    """A command that writes `size` bytes."""
    written = (await _execute(client, f"yes | head -c {size}"))["stdout_bytes"]
    if written != size:
        msg = f"{written} of {size} bytes of output were counted"
        raise RuntimeError(msg)


async def _execute(client: Client, command: str) -> dict[str, Any]:
    result = await client.call_tool("execute_command", {"command": command})
    if result.is_error or result.structured_content is None:
        msg = f"execute_command failed: {result.content}"
        raise RuntimeError(msg)
    content: dict[str, Any] = result.structured_content
    return content


async def latencies(bare: Call, noop: Call, fairlead: Call) -> Latencies:
    """Take turns."""
    taken = Latencies()
    turns = ((bare, taken.bare), (noop, taken.noop), (fairlead, taken.fairlead))
    for call, _ in turns:
        for _ in range(WARM_UP_CALLS):
            await call()
    for _ in range(ROUNDS):
        for call, times in turns:
            for _ in range(CALLS_PER_TURN):
                start = time.perf_counter()
                await call()
                times.append((time.perf_counter() - start) * 1000)
    return taken


async def throughput(calls: list[Call]) -> float:
    """Calls a second, the work spread evenly over `CONCURRENCY` workers and the workers over `calls`."""

    async def worker(call: Call) -> None:
        for _ in range(CONCURRENT_CALLS // CONCURRENCY):
            await call()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as workers:
        for number in range(CONCURRENCY):
            workers.create_task(worker(calls[number % len(calls)]))
    return CONCURRENT_CALLS / (time.perf_counter() - start)
