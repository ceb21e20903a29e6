"""A server whose lists never stay as they are."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from fairlead_sidecar.upstream.spec import Json

CHANGED = JSONRPCNotification(jsonrpc="2.0", method="notifications/tools/list_changed")


class Restless:
    """A wire to a server that says all the time that its tools have changed.

    Args:
        tools: What it lists the next time.
    """

    def __init__(self, tools: Callable[[], list[Json]]) -> None:
        self.listed = 0
        self._tools = tools
        self._to_client, self.read = anyio.create_memory_object_stream[SessionMessage | Exception](100)
        self.write, self._from_client = anyio.create_memory_object_stream[SessionMessage](100)

    def fault(self) -> UpstreamError | None:
        return None

    def masked(self, text: str) -> str:
        return text

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Restless"]:
        tasks = [asyncio.create_task(self._answer()), asyncio.create_task(self._storm())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            for stream in (self._to_client, self.read, self.write, self._from_client):
                stream.close()

    async def _say(self, message: JSONRPCMessage) -> None:
        await self._to_client.send(SessionMessage(message))

    async def _answer(self) -> None:
        async for item in self._from_client:
            request = item.message
            if isinstance(request, JSONRPCRequest):
                await self._say(JSONRPCResponse(jsonrpc="2.0", id=request.id, result=self._result(request.method)))

    def _result(self, method: str) -> Json:
        if method == "tools/list":
            self.listed += 1
            return {"tools": self._tools()}
        info = {"name": "restless", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info}

    async def _storm(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            await self._say(CHANGED)


async def fetched(tools: Callable[[], list[Json]]) -> tuple[int, int]:
    """How often the lists are fetched in three seconds, and how often others are told that they have changed."""
    wire = Restless(tools)
    told: list[None] = []
    setup = Setup(server="a", probe=False, on_catalogue=lambda: told.append(None))
    async with open_session(wire.open, setup):
        await asyncio.sleep(3)
        return wire.listed, len(told)


def tool(name: str) -> Json:
    return {"name": name, "inputSchema": {"type": "object"}}


async def test_lists_that_change_all_the_time_are_fetched_ever_more_seldom() -> None:
    names = count()
    listed, told = await fetched(lambda: [tool(f"t{next(names)}")])
    assert 3 <= listed <= 7
    assert told == listed - 1


async def test_nobody_is_told_of_lists_that_are_as_before() -> None:
    listed, told = await fetched(lambda: [tool("same")])
    assert listed >= 3
    assert told == 0
