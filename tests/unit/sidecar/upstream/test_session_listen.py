"""The modern protocol's stream of changes is kept open, and follows what is to be watched."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream import session_listen
from fairlead_sidecar.upstream.session_listen import Listening
from fairlead_sidecar.upstream.spec import Json


class Server:
    """Acknowledges streams by itself, and ends them when told to."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, Json]] = []
        self.open: dict[str, asyncio.Future[Json]] = {}
        self.refusal: MCPError | None = None
        self.gaps = 0
        self.listening = Listening(self.send, {"tools": {}, "resources": {}, "logging": {}}, self._gap)
        self._changed = asyncio.Event()

    def _gap(self) -> None:
        self.gaps += 1
        self._changed.set()

    async def send(self, method: str, params: Json, options: CallOptions) -> Json:
        assert method == "subscriptions/listen"
        if self.refusal is not None:
            raise self.refusal
        request_id = str(options["request_id"])
        self.opened.append((request_id, params["notifications"]))
        self.open[request_id] = asyncio.get_running_loop().create_future()
        meta = {"io.modelcontextprotocol/subscriptionId": request_id}
        self.listening.told("notifications/subscriptions/acknowledged", {"_meta": meta})
        self._changed.set()
        try:
            return await self.open[request_id]
        finally:
            del self.open[request_id]
            self._changed.set()

    async def until_opened(self, number: int) -> None:
        async with asyncio.timeout(5):
            while len(self.opened) < number or len(self.open) != 1 or self.gaps < number - 1:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(session_listen, "FIRST_PAUSE", 0.01)
    it = Server()
    running = asyncio.create_task(it.listening.run())
    yield it
    running.cancel()
    await asyncio.wait({running})
    await asyncio.sleep(0)
    assert it.open == {}


async def test_it_asks_for_the_changes_of_what_the_server_has(server: Server) -> None:
    await server.listening.settled()
    assert server.opened == [("listen-1", {"toolsListChanged": True, "resourcesListChanged": True})]
    assert server.gaps == 0


async def test_a_stream_that_ends_is_opened_again_and_the_gap_is_told_once_it_is(server: Server) -> None:
    await server.listening.settled()
    server.open["listen-1"].set_result({})
    await server.until_opened(2)
    server.open["listen-2"].set_exception(MCPError(-32603, "Restarting"))
    await server.until_opened(3)


async def test_a_stream_that_the_server_cancels_is_opened_again(server: Server) -> None:
    await server.listening.settled()
    assert server.listening.told("notifications/cancelled", {"requestId": "listen-1"})
    await server.until_opened(2)


async def test_another_stream_takes_the_place_of_the_first_when_resources_are_to_be_watched(server: Server) -> None:
    await server.listening.settled()
    await server.listening.watch(("shop://stock",))
    assert server.opened[-1][1]["resourceSubscriptions"] == ["shop://stock"]
    await asyncio.sleep(0)
    assert list(server.open) == ["listen-2"]
    await server.listening.watch(())
    assert "resourceSubscriptions" not in server.opened[-1][1]


async def test_a_server_without_such_a_stream_is_not_asked_again_and_nothing_can_be_watched() -> None:
    it = Server()
    it.refusal = MCPError(-32601, "Method not found")
    await it.listening.run()
    with pytest.raises(MCPError, match="Method not found"):
        await it.listening.watch(("shop://stock",))


async def test_what_is_no_matter_of_streams_is_left_to_others(server: Server) -> None:
    assert not server.listening.told("notifications/resources/updated", {"uri": "shop://stock"})
