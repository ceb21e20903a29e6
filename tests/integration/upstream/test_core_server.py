"""One upstream server: started, watched, started again, with its sessions."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from fairlead_sidecar.config import McpServer, StdioServer
from fairlead_sidecar.upstream import server as server_module
from fairlead_sidecar.upstream import server_private, session_watchers
from fairlead_sidecar.upstream.errors import (
    Exited,
    LinkDown,
    NotResponding,
    StartFailed,
    Starting,
    TooManySessions,
    UpstreamError,
)
from fairlead_sidecar.upstream.server import UpstreamServer
from fairlead_sidecar.upstream.spec import Json
from tests.integration.upstream.local_wire import LocalServer, Person, awkward, call, text, workshop


class Watched:
    """A server whose changes can be waited for."""

    def __init__(self, local: LocalServer, spec: McpServer) -> None:
        self.local = local
        self.reasons: list[str] = []
        self.told: list[tuple[str, str | None, str]] = []
        self._changed = asyncio.Event()
        self.server = UpstreamServer(spec, local.open, self._on_change, self._on_notification)

    def _on_change(self) -> None:
        reason = self.server.status().reason
        if not self.reasons or self.reasons[-1] != reason:
            self.reasons.append(reason)
        self._changed.set()

    async def _on_notification(self, server: str, client: str | None, method: str, params: Json | None) -> None:
        self.told.append((server, client, method))
        self._changed.set()

    async def until(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ready(self) -> None:
        await self.until(lambda: self.server.status().ready)


@asynccontextmanager
async def watched(local: LocalServer, **spec: object) -> AsyncIterator[Watched]:
    config = McpServer.model_validate({"name": "srv", "server": StdioServer(command="x"), **spec})
    watching = Watched(local, config)
    watching.server.start()
    try:
        yield watching
    finally:
        await watching.server.stop(LinkDown("The test is over."))
        assert local.running == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start again without the usual pause."""
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.05)


async def test_a_server_starts_at_once_and_its_status_tells_what_it_is() -> None:
    async with watched(awkward()) as it:
        assert it.server.status().reason == "Starting"
        with pytest.raises(Starting, match="srv"):
            await it.server.session("a")
        await it.ready()
        status = it.server.status()
        assert (status.server_name, status.server_version, status.protocol_version, status.tool_count) == (
            "awkward",
            "0",
            "2025-06-18",
            1,
        )
        session = await it.server.session("a")
        assert text(await session.request("tools/call", call("a"))) == "done"
        assert it.reasons == ["Starting", "Ready"]


async def test_a_killed_server_fails_its_calls_and_comes_back_with_its_tools(quick: None) -> None:
    async with watched(awkward("busy")) as it:
        await it.ready()
        session = await it.server.session("a")
        calling = asyncio.create_task(session.request("tools/call", call("a", n=60)))
        await asyncio.sleep(0.1)
        os.kill(it.local.running[0].pid, signal.SIGKILL)
        with pytest.raises(Exited):
            await calling
        await it.until(lambda: not it.server.status().ready)
        assert it.server.catalogue.tools == ()
        with pytest.raises(Exited, match="srv"):
            await it.server.session("a")
        await it.ready()
        assert len(it.server.catalogue.tools) == 1
        assert it.reasons == ["Starting", "Ready", "Exited", "Ready"]
        await (await it.server.session("a")).request("tools/call", call("a", n=0))


async def test_a_server_that_crashes_at_start_is_tried_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.1)
    starts: list[float] = []
    local = awkward("crash")

    @asynccontextmanager
    async def noted() -> AsyncIterator[object]:
        starts.append(time.monotonic())
        async with LocalServer.open(local) as wire:
            yield wire

    monkeypatch.setattr(local, "open", noted)
    async with watched(local) as it:
        await it.until(lambda: it.server.status().reason == "StartFailed")
        assert "exit code 3" in it.server.status().message
        with pytest.raises(StartFailed):
            await it.server.session("a")
        async with asyncio.timeout(60):
            while len(starts) < 6:  # noqa: ASYNC110 - the wire is a test's own and tells nobody
                await asyncio.sleep(0.05)
        # The first one is asked whether it is modern; then 0.1 to 0.2 s, 0.2 to 0.4, 0.4 to 0.8, 0.8 to 1.6.
        pauses = [later - earlier for earlier, later in pairwise(starts)]
        assert sum(pauses) > 1.5
        assert pauses[4] > 0.8
        assert it.reasons == ["Starting", "StartFailed"]


async def test_a_server_that_ends_when_asked_for_the_modern_protocol_is_started_again_at_once_and_not_asked() -> None:
    async with watched(awkward("handshake-first")) as it:
        await it.until(lambda: it.server.status().ready)
        assert it.local.started == 2
        assert it.reasons == ["Starting", "Ready"]


async def test_a_list_that_changes_is_a_change_of_the_server() -> None:
    async with watched(workshop()) as it:
        await it.ready()
        session = await it.server.session("a")
        await session.request("tools/call", call("grow", text="saw"))
        await it.until(lambda: it.server.catalogue.tools[-1]["name"] == "saw")
        assert session.catalogue.tools[-1]["name"] == "saw"


async def test_without_the_link_nothing_runs_and_with_it_all_comes_back() -> None:
    async with watched(awkward("silent")) as it:
        await it.ready()
        session = await it.server.session("a")
        calling = asyncio.create_task(session.request("tools/call", call("a")))
        await asyncio.sleep(0.05)
        await it.server.stop(LinkDown("The host is unreachable."))
        with pytest.raises(UpstreamError):
            await calling
        assert it.local.running == []
        assert it.server.catalogue.tools == ()
        with pytest.raises(LinkDown, match="unreachable"):
            await it.server.session("a")
        it.server.start()
        await it.ready()


async def test_a_subscription_outlives_the_server(quick: None) -> None:
    async with watched(workshop("--handshake-only")) as it:
        await it.ready()
        await (await it.server.session("a")).request("resources/subscribe", {"uri": "shop://stock"})
        it.local.running[0].kill()
        await it.until(lambda: not it.server.status().ready)
        await it.ready()
        session = it.server._session
        assert session is not None
        assert session.watchers.all() == {"shop://stock": {"a"}}
        await it.server.client_gone("a")
        assert session.watchers.all() == {}


@asynccontextmanager
async def private(**environment: object) -> AsyncIterator[Watched]:
    async with watched(workshop("--handshake-only"), isolation="PerSession") as it:
        await it.ready()
        yield it


async def test_each_client_has_a_process_of_its_own_and_keeps_it() -> None:
    async with private() as it:
        anna, ben = await asyncio.gather(it.server.session("a"), it.server.session("b"))
        assert text(await anna.request("tools/call", call("add"))).startswith("1 ")
        assert text(await anna.request("tools/call", call("add"))).startswith("2 ")
        assert text(await ben.request("tools/call", call("add"))).startswith("1 ")
        again = await it.server.session("a")
        assert text(await again.request("tools/call", call("add"))).startswith("3 ")
        assert len(it.local.running) == 3


async def test_two_first_requests_of_one_client_open_one_session() -> None:
    async with private() as it:
        one, two = await asyncio.gather(it.server.session("a"), it.server.session("a"))
        await asyncio.gather(one.request("tools/call", call("add")), two.request("tools/call", call("add")))
        assert it.local.started == 2


async def test_a_clients_server_is_told_what_that_client_can_do_and_asks_only_it() -> None:
    async with private() as it:
        anna, ben = await asyncio.gather(
            it.server.session("a", {"elicitation": {"form": {}}, "extensions": {}}),
            it.server.session("b", {"sampling": {}}),
        )
        assert text(await anna.request("tools/call", call("capabilities"))) == '{"elicitation":{"form":{}}}'
        people = Person("anna"), Person("ben")
        answers = await asyncio.gather(
            anna.request("tools/call", call("ask", text="there"), people[0]),
            ben.request("tools/call", call("sample", text="there"), people[1]),
        )
        assert "anna" in text(answers[0])
        assert "ben" in text(answers[1])


async def test_what_a_clients_server_tells_is_for_that_client() -> None:
    async with private() as it:
        anna = await it.server.session("a")
        await anna.request("tools/call", call("log", text="hm"))
        await it.until(lambda: bool(it.told))
        assert it.told == [("srv", "a", "notifications/message")]


async def test_a_clients_server_ends_with_the_client() -> None:
    async with private() as it:
        anna = await it.server.session("a")
        calling = asyncio.create_task(anna.request("tools/call", call("wait")))
        await asyncio.sleep(0.1)
        await it.server.client_gone("a")
        with pytest.raises(UpstreamError):
            await calling
        assert len(it.local.running) == 1


async def test_a_clients_server_ends_when_it_is_idle_and_not_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_private, "IDLE_TIMEOUT", 1)
    async with private() as it:
        anna = await it.server.session("a")
        await anna.request("tools/call", call("wait", n=3))
        assert len(it.local.running) == 2
        async with asyncio.timeout(60):
            while len(it.local.running) > 1:  # noqa: ASYNC110 - the wire is a test's own and tells nobody
                await asyncio.sleep(0.05)
        assert it.server.status().ready


async def test_sessions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_private, "MAX_SESSIONS", 1)
    async with watched(awkward(), isolation="PerSession") as it:
        await it.ready()
        await it.server.session("a")
        with pytest.raises(TooManySessions, match="srv"):
            await it.server.session("b")
        await it.server.client_gone("a")
        await it.server.session("b")


async def test_a_clients_server_outlives_the_one_that_tells_what_there_is(quick: None) -> None:
    async with private() as it:
        anna = await it.server.session("a")
        await anna.request("tools/call", call("add"))
        it.local.running[0].kill()
        await it.until(lambda: not it.server.status().ready)
        anna = await it.server.session("a")
        assert text(await anna.request("tools/call", call("add"))).startswith("2 ")


async def test_a_link_that_flaps_leaves_it_running() -> None:
    async with watched(awkward()) as it:
        await it.ready()
        ending = it.server.stop(LinkDown("The host is unreachable."))
        it.server.start()
        await ending
        await it.ready()
        assert len(it.local.running) == 1


async def test_a_private_session_that_ends_is_opened_anew_by_the_next_request() -> None:
    async with watched(awkward("exit"), isolation="PerSession") as it:
        await it.ready()
        for _ in range(2):
            with pytest.raises(Exited):
                await (await it.server.session("a")).request("tools/call", call("a"))
        assert it.server.status().ready


async def test_a_wire_that_can_not_be_opened_says_why() -> None:
    @asynccontextmanager
    async def refuse() -> AsyncIterator[object]:
        raise UpstreamError("There is no paint.")
        yield

    local = awkward()
    local.open = refuse  # type: ignore[assignment,method-assign] # opens none
    async with watched(local) as it:
        await it.until(lambda: it.server.status().reason == "Failed")
        assert "no paint" in it.server.status().message


async def test_an_owner_that_has_all_places_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_private, "MAX_SESSIONS", 3)
    async with private() as it:
        for client in ("session 1 of anna", "session 2 of anna", "session 3 of anna"):
            session = await it.server.session(client)
            await session.request("tools/call", call("add"))
        with pytest.raises(TooManySessions):
            await it.server.session("session 4 of anna")
        await it.server.session("session 5 of ben")
        assert not it.server.serves("session 1 of anna")
        assert it.server.serves("session 2 of anna")
        with pytest.raises(TooManySessions):
            await it.server.session("session 6 of ben")


async def test_a_session_that_works_gives_way_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_private, "MAX_SESSIONS", 2)
    async with private() as it:
        sessions = [await it.server.session(f"session {number} of anna") for number in (1, 2)]
        working = [asyncio.create_task(session.request("tools/call", call("wait", n=2))) for session in sessions]
        await asyncio.sleep(0.1)
        with pytest.raises(TooManySessions):
            await it.server.session("session 3 of ben")
        await asyncio.gather(*working)
        await it.server.session("session 3 of ben")


async def test_a_session_is_not_idle_while_its_client_watches_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_private, "IDLE_TIMEOUT", 0.2)
    async with private() as it:
        anna = await it.server.session("a")
        await anna.request("resources/subscribe", {"uri": "shop://stock"})
        await asyncio.sleep(1.5)
        assert len(it.local.running) == 2
        await anna.request("resources/unsubscribe", {"uri": "shop://stock"})
        async with asyncio.timeout(60):
            while len(it.local.running) > 1:  # noqa: ASYNC110 - the wire is a test's own and tells nobody
                await asyncio.sleep(0.05)


async def test_a_server_that_answers_no_subscription_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watchers, "TIMEOUT", 0.3)

    async def never(_method: str, _params: Json | None) -> Json:
        await asyncio.Event().wait()
        return {}

    watchers = session_watchers.Watchers(never)
    async with asyncio.timeout(60):
        for client in ("a", "b"):
            with pytest.raises(NotResponding):
                await watchers.request("resources/subscribe", {"uri": "shop://stock"}, client)
    assert watchers.all() == {}
