"""A wire to an MCP server that runs as a local subprocess, and what the tests of sessions have in common."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from mcp.shared.message import SessionMessage

from fairlead_sidecar.upstream.errors import Exited, ProtocolError, UpstreamError
from fairlead_sidecar.upstream.messages import parse, render
from fairlead_sidecar.upstream.spec import Json, OpenWire

SERVERS = Path(__file__).parent / "servers"


class LocalWire:
    """Messages as lines on the standard input and output of a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._in, self.read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        self.write, self._out = anyio.create_memory_object_stream[SessionMessage](0)

    def fault(self) -> UpstreamError | None:
        code = self.process.returncode
        return None if code is None else Exited(f"The program ended with exit code {code}.")

    def masked(self, text: str) -> str:
        return text

    def close(self) -> None:
        # The pumps' ends too: one that was cancelled before it began has not closed its own.
        for stream in (self._in, self.read, self.write, self._out):
            stream.close()

    async def pump_in(self) -> None:
        assert self.process.stdout is not None
        async with self._in:
            while line := await self.process.stdout.readline():
                item: SessionMessage | Exception
                try:
                    item = SessionMessage(parse(line))
                except ProtocolError as error:
                    # What looks like a message is one that is broken; anything else is noise.
                    item = error if line.startswith(b"{") else ValueError("noise")
                with suppress(anyio.BrokenResourceError):
                    await self._in.send(item)
            await self.process.wait()

    async def pump_out(self) -> None:
        assert self.process.stdin is not None
        async with self._out:
            async for message in self._out:
                self.process.stdin.write(render(message.message) + b"\n")
                with suppress(ConnectionError):
                    await self.process.stdin.drain()


class LocalServer:
    """Starts a server of `servers/` for each wire that is opened, and knows which are running."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self.started = 0
        self.running: list[asyncio.subprocess.Process] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LocalWire]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SERVERS / self._words[0]),
            *self._words[1:],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=64 * 1024 * 1024,
        )
        self.started += 1
        self.running.append(process)
        wire = LocalWire(process)
        pumps = [asyncio.create_task(wire.pump_in()), asyncio.create_task(wire.pump_out())]
        try:
            yield wire
        finally:
            for pump in pumps:
                pump.cancel()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self.running.remove(process)
            wire.close()


def workshop(*words: str) -> LocalServer:
    return LocalServer("workshop.py", *words)


def awkward(*words: str) -> LocalServer:
    return LocalServer("awkward.py", *words)


def open_wire(server: LocalServer) -> OpenWire:
    return server.open


class Person:
    """An `Interaction` that remembers what it was told, and answers what it is asked."""

    def __init__(self, name: str = "anna") -> None:
        self.name = name
        self.capabilities: Json = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}
        self.progressed: list[Json] = []
        self.notified: list[tuple[str, Json | None]] = []
        self.asked: list[tuple[str, Json | None]] = []

    async def progress(self, params: Json) -> None:
        self.progressed.append(params)

    async def notify(self, method: str, params: Json | None) -> None:
        self.notified.append((method, params))

    async def ask(self, method: str, params: Json | None) -> Json:
        self.asked.append((method, params))
        if method == "elicitation/create":
            return {"action": "accept", "content": {"name": self.name}}
        if method == "sampling/createMessage":
            return {"role": "assistant", "model": self.name, "content": {"type": "text", "text": "hm"}}
        return {"roots": [{"uri": f"file:///home/{self.name}"}]}


def call(tool: str, token: str | None = None, **arguments: Any) -> Json:
    params: Json = {"name": tool, "arguments": arguments}
    return {**params, "_meta": {"progressToken": token}} if token is not None else params


def text(result: Json) -> str:
    return str(result["content"][0]["text"])
