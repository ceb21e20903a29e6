"""What becomes of a session, and of the requests in it, when the server misbehaves."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream.errors import Exited, NotResponding, ProtocolError, StartFailed
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from fairlead_sidecar.upstream.spec import Json
from tests.integration.upstream.local_wire import Person, awkward, call, text


@asynccontextmanager
async def opened(mode: str, **setup: object) -> AsyncIterator[UpstreamSession]:
    async with open_session(awkward(mode).open, Setup(server="a", **setup)) as session:  # type: ignore[arg-type] # fields of Setup
        yield session


async def test_a_malformed_answer_fails_the_requests_under_way_and_not_the_session() -> None:
    async with opened("malformed") as session:
        async with asyncio.timeout(30):
            with pytest.raises(ProtocolError):
                await session.request("tools/call", call("a"))
        await session.request("resources/list", None)


async def test_a_server_that_ends_fails_the_requests_under_way() -> None:
    async with opened("silent") as session:
        waiting = [asyncio.create_task(session.request("tools/call", call("a"))) for _ in range(3)]
        await session.request("resources/list", None)
        pid = session._wire.process.pid  # type: ignore[attr-defined] # it is a LocalWire
        os.kill(pid, 9)
        for request in waiting:
            with pytest.raises(Exited, match="exit code -9"):
                await request
        assert isinstance(await session.ended(), Exited)
        with pytest.raises(Exited):
            await session.request("tools/call", call("a"))


async def test_an_error_of_the_servers_own_is_not_mistaken_for_the_end_of_the_connection() -> None:
    async with opened("error") as session:
        with pytest.raises(MCPError) as raised:
            await session.request("tools/call", call("a"))
        assert (raised.value.code, raised.value.message, raised.value.error.data) == (
            -32000,
            "Out of paint",
            {"left": 0},
        )


async def test_a_server_that_hangs_at_start_is_not_waited_for_any_longer_than_its_time() -> None:
    with pytest.raises(NotResponding, match=r"within 0\.5 s"):
        async with asyncio.timeout(30), opened("hang", start_timeout=0.5):
            pass


async def test_a_server_that_says_other_things_instead_of_answering_is_said_to_break_the_protocol() -> None:
    with pytest.raises(ProtocolError, match="output that is no MCP"):
        async with opened("noise", start_timeout=4, probe=False):
            pass


async def test_a_server_that_crashes_at_start_says_so() -> None:
    with pytest.raises(StartFailed, match="exit code 3"):
        async with opened("crash", probe=False):
            pass


async def test_a_list_that_is_none_breaks_the_protocol() -> None:
    with pytest.raises(ProtocolError, match="tools/list"):
        async with opened("no-list"):
            pass


async def test_unusable_tools_are_left_out_and_the_rest_stays() -> None:
    async with opened("unusable") as session:
        assert [tool["name"] for tool in session.catalogue.tools] == ["good"]


async def test_what_is_not_known_of_a_tool_is_kept() -> None:
    async with opened("") as session:
        assert session.catalogue.tools[0]["x-unknown"] == {"kept": [1, 2.5, None]}
        assert "pid" in (await session.request("tools/call", call("a")))["x-unknown"]


async def test_lists_are_bounded_in_length_and_in_pages() -> None:
    async with opened("many") as session:
        assert len(session.catalogue.tools) == 1000
    async with opened("circles") as session:
        assert len(session.catalogue.tools) == 1


async def test_a_server_that_asks_without_end_is_ended() -> None:
    async with opened("interrogates") as session:
        with pytest.raises(ProtocolError, match="1000 requests"):
            await session.request("tools/call", call("a"), Person(), client="a")
        assert session.over


async def test_a_flood_of_notifications_neither_starves_nor_grows_anything() -> None:
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    async def told(*_: object) -> None:
        pass

    process = psutil.Process()

    class SlowPerson(Person):
        async def progress(self, params: Json) -> None:
            self.progressed.append(params)
            await asyncio.sleep(0.01)

    async with opened("flood", on_catalogue=changed, on_notification=told) as session:
        person = SlowPerson()
        await session.request("tools/call", call("a", n=0))
        before, longest = process.memory_info().rss, 0.0
        flood = asyncio.create_task(session.request("tools/call", call("a", "t", n=100_000), person))
        while not flood.done():
            asked = time.monotonic()
            await asyncio.wait({flood}, timeout=0.005)
            longest = max(longest, time.monotonic() - asked)
        assert text(await flood) == "done"
        assert process.memory_info().rss - before < 32 * 1024 * 1024
        assert longest < 2
        # What a slow client can't keep up with is left out; the last of it is not.
        assert len(person.progressed) < 10_000
        assert person.progressed[-1]["progress"] == 99_998
        # The list was said to have changed 33,333 times, and never had.
        assert changes == 0
