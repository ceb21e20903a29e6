"""Questions that a server asks while it works on requests go to the client whose request it is, or to nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from fairlead_sidecar.upstream.spec import Json
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd
from tests.integration.upstream.http_servers import http_server, serving, session_with
from tests.integration.upstream.local_wire import Person, awkward, call, text, workshop
from tests.integration.upstream.servers.workshop import make

# The server of the HTTP tests runs in this process, and uses what newer protocols no longer have.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

QUESTIONS = ["ask", "sample", "roots"]


@asynccontextmanager
async def stdio(**setup: Any) -> AsyncIterator[UpstreamSession]:
    async with open_session(workshop("--handshake-only").open, Setup(server="w", **setup)) as session:
        yield session


async def cancelled(task: asyncio.Task[Json]) -> None:
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("tool", QUESTIONS)
async def test_the_one_client_with_a_request_under_way_is_asked(tool: str) -> None:
    async with stdio() as session:
        anna = Person("anna")
        result = await session.request("tools/call", call(tool, text="there"), anna, client="a")
        assert "anna" in text(result)
        assert len(anna.asked) == 1


async def test_with_requests_of_two_clients_under_way_the_server_is_refused_and_neither_is_asked() -> None:
    async with stdio() as session:
        anna, ben = Person("anna"), Person("ben")
        waiting = asyncio.create_task(session.request("tools/call", call("wait"), ben, client="b"))
        await session.request("tools/call", call("echo"))
        with pytest.raises(MCPError, match="several clients"):
            await session.request("tools/call", call("ask", text="there"), anna, client="a")
        assert anna.asked == ben.asked == []
        await cancelled(waiting)


async def test_two_requests_of_the_same_client_are_no_hindrance() -> None:
    async with stdio() as session:
        anna = Person("anna")
        waiting = asyncio.create_task(session.request("tools/call", call("wait"), Person("anna"), client="a"))
        await session.request("tools/call", call("echo"))
        assert "anna" in text(await session.request("tools/call", call("ask", text="there"), anna, client="a"))
        await cancelled(waiting)


async def test_with_no_clients_request_under_way_nobody_is_asked() -> None:
    async with stdio() as session:
        with pytest.raises(MCPError, match="nobody to ask"):
            await session.request("tools/call", call("ask", text="there"))


class Silent(Person):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.was_asked, self.left_alone = asyncio.Event(), asyncio.Event()

    async def ask(self, method: str, params: Json | None) -> Json:
        self.was_asked.set()
        try:
            return await asyncio.Future()
        finally:
            self.left_alone.set()


async def test_a_question_ends_with_the_request_it_belongs_to(tmp_path: Path) -> None:
    async with open_session(awkward("forgets").open, Setup(server="a")) as session, asyncio.timeout(30):
        anna = Silent()
        request = session.request("tools/call", call("a", asked=str(tmp_path / "asked")), anna, client="a")
        working = asyncio.create_task(request)
        await anna.was_asked.wait()
        (tmp_path / "asked").touch()
        await working
        await anna.left_alone.wait()


async def test_a_question_ends_when_its_request_is_cancelled() -> None:
    async with stdio() as session, asyncio.timeout(30):
        anna = Silent()
        asking = asyncio.create_task(session.request("tools/call", call("ask", text="there"), anna, client="a"))
        await anna.was_asked.wait()
        await cancelled(asking)
        await anna.left_alone.wait()


async def test_the_server_is_told_what_the_client_of_its_session_can_do() -> None:
    async with stdio(capabilities={"roots": {}}) as session:
        assert text(await session.request("tools/call", call("capabilities"))) == '{"roots":{}}'
    async with stdio() as session:
        told = text(await session.request("tools/call", call("capabilities")))
        assert '"elicitation":{"form":{},"url":{}}' in told
        assert '"sampling":{}' in told


@asynccontextmanager
async def over_http(link: Link) -> AsyncIterator[UpstreamSession]:
    app = make().streamable_http_app(host="0.0.0.0")
    async with serving(app) as port, session_with(link, http_server(port), probe=False) as session:
        yield session


@pytest.mark.parametrize("tool", QUESTIONS[:2])
async def test_over_http_each_of_two_clients_is_asked_for_its_own_request(
    tool: str, sshd: Sshd, start_link: StartLink
) -> None:
    async with over_http(start_link(sshd.sidecar_config()).link) as session:
        people = {name: Person(name) for name in ("anna", "ben", "cem", "dora")}
        waiting = asyncio.create_task(session.request("tools/call", call("wait"), Person("eve"), client="e"))
        answers = await asyncio.gather(
            *(
                session.request("tools/call", call(tool, text=f"beside {name}"), person, client=name)
                for name, person in people.items()
            )
        )
        for (name, person), answer in zip(people.items(), answers, strict=True):
            assert name in text(answer)
            assert f"beside {name}" in str(person.asked)
            assert len(person.asked) == 1
        await cancelled(waiting)


async def test_over_http_a_log_message_reaches_the_request_that_it_belongs_to(
    sshd: Sshd, start_link: StartLink
) -> None:
    async with over_http(start_link(sshd.sidecar_config()).link) as session:
        anna, ben = Person("anna"), Person("ben")
        await asyncio.gather(
            session.request("tools/call", call("log", text="for anna"), anna, client="a"),
            session.request("tools/call", call("log", text="for ben"), ben, client="b"),
        )
        assert [params for _, params in anna.notified] == [{"level": "info", "data": "for anna"}]
        assert [params for _, params in ben.notified] == [{"level": "info", "data": "for ben"}]


async def test_over_stdio_a_log_message_is_for_the_only_client_that_calls_and_else_for_nobody() -> None:
    told: asyncio.Queue[tuple[str | None, str, Json | None]] = asyncio.Queue()

    async def listen(client: str | None, method: str, params: Json | None) -> None:
        told.put_nowait((client, method, params))

    async with stdio(on_notification=listen) as session:
        anna, ben = Person("anna"), Person("ben")
        await session.request("tools/call", call("log", text="hm"), anna, client="a")
        assert anna.notified == [("notifications/message", {"level": "info", "data": "hm"})]
        waiting = asyncio.create_task(session.request("tools/call", call("wait"), ben, client="b"))
        await asyncio.sleep(0)
        await session.request("tools/call", call("log", text="secret"), anna, client="a")
        await cancelled(waiting)
        assert "secret" not in str((anna.notified, ben.notified))
        assert told.empty()


async def test_a_request_that_needs_what_no_client_can_do_gets_the_refusal_as_the_server_reports_it() -> None:
    async with stdio() as session:
        anna = Person("anna")

        async def ask(method: str, params: Json | None) -> Json:
            raise MCPError(-32601, "This client can't be asked.")

        anna.ask = ask  # type: ignore[method-assign] # this person can't be asked
        with pytest.raises(MCPError, match="This client can't be asked"):
            await session.request("tools/call", call("ask", text="there"), anna, client="a")
