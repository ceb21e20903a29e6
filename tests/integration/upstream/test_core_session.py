"""A session with an upstream server, in both protocol eras."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from fairlead_sidecar.upstream.spec import Json
from tests.integration.sshd import eventually
from tests.integration.upstream.local_wire import LocalServer, Person, call, text, workshop

ERAS = ["handshake", "modern"]


@asynccontextmanager
async def opened(era: str, **setup: object) -> AsyncIterator[UpstreamSession]:
    server: LocalServer = workshop() if era == "modern" else workshop("--handshake-only")
    async with open_session(server.open, Setup(server="w", **setup)) as session:  # type: ignore[arg-type] # fields of Setup
        yield session


@pytest.mark.parametrize("era", ERAS)
async def test_the_newest_version_is_agreed_on_and_all_pages_are_fetched(era: str) -> None:
    async with opened(era) as session:
        catalogue = session.catalogue
        assert catalogue.protocol_version == ("2026-07-28" if era == "modern" else "2025-11-25")
        assert [tool["name"] for tool in catalogue.tools][:2] == ["echo", "count"]
        assert len(catalogue.tools) == 12
        assert catalogue.tools[0]["_meta"] == {"example.com/shelf": 3}
        assert [prompt["name"] for prompt in catalogue.prompts] == ["greet"]
        assert [resource["uri"] for resource in catalogue.resources] == ["shop://stock"]
        assert catalogue.templates == ()
        assert catalogue.server_info["version"] == "1.2.3"
        assert catalogue.instructions == "Use the tools."


@pytest.mark.parametrize("era", ERAS)
async def test_a_result_passes_unchanged(era: str) -> None:
    async with opened(era) as session:
        result = await session.request("tools/call", call("echo", text="hi"))
        assert result["content"] == [{"type": "text", "text": "hi", "_meta": {"example.com/weight": 1.5}}]
        assert result["structuredContent"] == {"text": "hi", "nested": {"list": [1, None, "ü"]}}
        assert result["_meta"]["example.com/tool"] == "echo"


class SlowPerson(Person):
    async def progress(self, params: Json) -> None:
        await asyncio.sleep(0.01)
        await super().progress(params)


@pytest.mark.parametrize("era", ERAS)
async def test_progress_reaches_the_request_under_the_clients_own_token_and_before_the_result(era: str) -> None:
    async with opened(era) as session:
        anna, ben = SlowPerson("anna"), SlowPerson("ben")
        await asyncio.gather(
            session.request("tools/call", call("count", "same", n=20, text="a"), anna, client="a"),
            session.request("tools/call", call("count", "same", n=20, text="b"), ben, client="b"),
        )
        for person, letter in ((anna, "a"), (ben, "b")):
            assert [told["message"] for told in person.progressed] == [f"{letter} {n}" for n in range(1, 21)]
            assert {told["progressToken"] for told in person.progressed} == {"same"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_cancelled_caller_cancels_the_request_at_the_server(era: str) -> None:
    async with opened(era) as session:
        anna = Person()
        waiting = asyncio.create_task(session.request("tools/call", call("wait", "token"), anna))
        await eventually(lambda: bool(anna.progressed), "the server to have begun")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert text(await session.request("tools/call", call("cancelled"))) == "1"


@pytest.mark.parametrize("era", ERAS)
async def test_the_servers_own_error_passes_unchanged(era: str) -> None:
    async with opened(era) as session:
        with pytest.raises(MCPError) as raised:
            await session.request("workshop/unknown", {})
        assert raised.value.code == -32601


@pytest.mark.parametrize("era", ERAS)
async def test_a_changed_list_is_fetched_again(era: str) -> None:
    changed = asyncio.Event()
    async with opened(era, on_catalogue=changed.set) as session:
        await session.request("tools/call", call("grow", text="saw"))
        async with asyncio.timeout(30):
            await changed.wait()
        assert session.catalogue.tools[-1]["name"] == "saw"


@pytest.mark.parametrize("era", ERAS)
async def test_an_update_of_a_watched_resource_is_told(era: str) -> None:
    told: asyncio.Queue[tuple[str | None, str, Json | None]] = asyncio.Queue()

    async def listen(client: str | None, method: str, params: Json | None) -> None:
        told.put_nowait((client, method, params))

    async with opened(era, on_notification=listen) as session:
        await session.request("resources/subscribe", {"uri": "shop://stock"}, client="a")
        await session.request("tools/call", call("touch", text="shop://stock"))
        async with asyncio.timeout(30):
            client, method, params = await told.get()
        assert (client, method) == (None, "notifications/resources/updated")
        assert params == {"uri": "shop://stock"}
