"""Servers that misbehave and hosts that go away, through the whole sidecar and a real sshd.

Each time: an error with a name, nobody else affected, no process left on the host, and all comes back by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from fairlead_sidecar.config import Header, HttpServer, McpServer, StdioServer
from tests.integration.app.endpoint import ERAS, RunningEndpoint, until
from tests.integration.app.hosted import DIFFICULT, hosting, stdio
from tests.integration.sshd import Sshd, SshdFactory, free_port
from tests.integration.upstream.http_servers import Seen, answering, mcp_app, serving

ORPHAN = "86397"
"""What the child of a deaf server sleeps."""


def difficult(name: str, *args: str, **changes: Any) -> McpServer:
    return stdio(name, *args, script=DIFFICULT, **changes)


class Host:
    """A host with servers, and clients of them."""

    def __init__(self, endpoint: RunningEndpoint, sshd: Sshd) -> None:
        self.endpoint = endpoint
        self.sshd = sshd

    async def call(self, tool: str, mode: str = "auto", **arguments: Any) -> tuple[str, str | None]:
        """The text of a call's result, and the code of its error."""
        async with self.endpoint.client(mode) as client:
            return outcome(await client.call_tool(tool, arguments))

    def running(self) -> int:
        """How many of the servers' processes there are on the host."""
        return len([each for each in self.sshd.processes() if _is_server(each)])

    def calling(self, *tools: str) -> bool:
        """Whether calls of all these tools are under way."""
        return {item.tool for item in self.endpoint.sidecar.work._items} >= set(tools)

    def status(self, server: str) -> Any:
        return next(each for each in self.endpoint.sidecar.status().mcp_servers if each.name == server)

    async def back(self, server: str) -> None:
        """Wait until it works again, by itself."""

        async def works() -> bool:
            return await self.call(f"{server}__echo", text="back") == ("back", None)

        await until(works, f"{server} to be back: {self.status(server)}")


def outcome(result: Any) -> tuple[str, str | None]:
    code = (result.structured_content or {}).get("code") if result.is_error else None
    return (result.content[0].text if result.content else ""), code


def _is_server(process: Any) -> bool:
    with contextlib.suppress(Exception):
        words = process.cmdline()
        return any(word.endswith("/difficult.py") for word in words) and "/python3" in words[0]
    return False


@asynccontextmanager
async def host(
    sshd_factory: SshdFactory, *servers: McpServer, mounts: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[Host]:
    made: list[Sshd] = []

    def factory(**given: Any) -> Sshd:
        made.append(sshd_factory(mounts=(*given.pop("mounts"), *mounts), **given))
        return made[0]

    async with hosting(factory, *servers, **settings) as endpoint:
        yield Host(endpoint, made[0])


@asynccontextmanager
async def neighbours(there: Host, same: str, other: str, *, undisturbed: bool = True) -> AsyncIterator[None]:
    """Other clients call the same and another server meanwhile; each must get its own answers.

    `undisturbed`: calls of the other server must all succeed.
    """
    over = asyncio.Event()
    done = {same: 0, other: 0}

    async def keep_calling(server: str, number: int) -> None:
        async with there.endpoint.client(ERAS[number % 2]) as client:
            while not over.is_set():
                done[server] += 1
                word = f"{server}-{number}-{done[server]}"
                async with asyncio.timeout(60):
                    text, code = outcome(await client.call_tool(f"{server}__echo", {"text": word}))
                if server == other and undisturbed:
                    assert (text, code) == (word, None)
                assert text == word or (code or "").startswith("mcp_server_"), (text, code)
                await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(keep_calling(server, number)) for server in done for number in (0, 1)]
    try:
        yield
        before = dict(done)
        await until(lambda: all(done[server] > before[server] + 1 for server in done), "the neighbours' calls")
    finally:
        over.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_that_is_killed_fails_its_calls_alone_and_comes_back(
    sshd_factory: SshdFactory, mode: str
) -> None:
    async with host(sshd_factory, difficult("bad"), difficult("good")) as there, neighbours(there, "bad", "good"):
        waiting = asyncio.create_task(there.call("bad__sleep", mode, seconds=60))
        await until(lambda: there.calling("bad__sleep"), "the call")
        text, code = await there.call("bad__die", code=7)
        assert code == "mcp_server_exited"
        assert "exit code 7" in text
        assert "the disk is on fire" in text
        assert (await waiting)[1] == "mcp_server_exited"
        await there.back("bad")
        await until(lambda: there.running() == 2, "the one before to be gone")


@pytest.mark.parametrize("mode", ERAS)
async def test_a_lost_link_fails_the_calls_by_name_leaves_no_second_server_and_all_comes_back(
    sshd_factory: SshdFactory, mode: str
) -> None:
    async with host(sshd_factory, difficult("one"), difficult("deaf", "deaf")) as there:
        async with neighbours(there, "one", "deaf", undisturbed=False):
            waiting = [asyncio.create_task(there.call(f"{name}__sleep", mode, seconds=60)) for name in ("one", "deaf")]
            await until(lambda: there.calling("one__sleep", "deaf__sleep"), "both calls to be under way")
            await asyncio.sleep(0.2)
            there.sshd.drop_connections()
            for call in waiting:
                text, code = await call
                assert code == "mcp_server_link_down", text
            await there.back("one")
            await there.back("deaf")
        await until(lambda: there.running() == 2, "the servers of before to be gone")
        await until(lambda: _orphans(there.sshd) == 1, "the child of the one before to be gone")


def _orphans(sshd: Sshd) -> int:
    found = 0
    for process in sshd.processes():
        with contextlib.suppress(Exception):
            found += ORPHAN in process.cmdline()
    return found


async def test_a_list_that_changes_during_a_call_does_not_touch_the_call(sshd_factory: SshdFactory) -> None:
    async with host(sshd_factory, difficult("one"), difficult("good")) as there, neighbours(there, "one", "good"):
        waiting = asyncio.create_task(there.call("one__sleep", seconds=60))
        await until(lambda: there.calling("one__sleep"), "the call")
        await there.call("one__add_tool", name="grown")

        async def listed() -> bool:
            async with there.endpoint.client() as client:
                return "one__grown" in [tool.name for tool in (await client.list_tools()).tools]

        await until(listed, "the new tool")
        assert await there.call("one__grown") == ("added", None)
        assert not waiting.done()
        await there.call("one__wake")
        assert await waiting == ("slept", None)


async def test_malformed_messages_are_a_protocol_error_and_the_server_goes_on(sshd_factory: SshdFactory) -> None:
    async with host(sshd_factory, difficult("bad"), difficult("good")) as there, neighbours(there, "bad", "good"):
        text, code = await there.call("bad__malformed")
        assert (text, code) == ("well-formed", None) or code == "mcp_server_protocol_error"
        await there.back("bad")
        await until(lambda: there.running() == 2, "the one before to be gone")


async def test_a_flood_of_notifications_neither_stops_its_call_nor_others(sshd_factory: SshdFactory) -> None:
    async with host(sshd_factory, difficult("bad"), difficult("good")) as there, neighbours(there, "bad", "good"):
        async with asyncio.timeout(60):
            assert await there.call("bad__flood", count=100_000) == ("flooded", None)
        await there.back("bad")


async def test_a_line_without_end_ends_the_session_by_name(sshd_factory: SshdFactory) -> None:
    async with host(sshd_factory, difficult("bad"), difficult("good")) as there, neighbours(there, "bad", "good"):
        text, code = await there.call("bad__long_line", megabytes=80)
        assert code == "mcp_server_protocol_error", text
        await there.back("bad")
        await until(lambda: there.running() == 2, "the one before to be gone")


async def test_a_host_that_is_rebooted_is_used_again_with_all_its_servers(
    sshd_factory: SshdFactory, tmp_path: Path
) -> None:
    boot = tmp_path / "boot-id"
    boot.write_text("11111111-1111-4111-8111-111111111111\n")
    mounts = (f"mount --bind {boot} /proc/sys/kernel/random/boot_id",)
    async with host(sshd_factory, difficult("one"), difficult("deaf", "deaf"), mounts=mounts) as there:
        waiting = asyncio.create_task(there.call("one__sleep", seconds=60))
        await until(lambda: there.calling("one__sleep"), "the call")
        await asyncio.to_thread(there.sshd.stop)
        assert (await waiting)[1] == "mcp_server_link_down"
        text, code = await there.call("one__echo", text="x")
        assert code == "mcp_server_link_down", text
        assert there.status("one").reason == "LinkDown"
        boot.write_text("22222222-2222-4222-8222-222222222222\n")
        await asyncio.to_thread(there.sshd.start)
        await there.back("one")
        await there.back("deaf")
        await until(lambda: there.running() == 2, "the one before to be gone")


async def test_a_sidecar_that_stops_leaves_nothing_on_the_host(sshd_factory: SshdFactory) -> None:
    servers = (difficult("one"), difficult("deaf", "deaf"), difficult("loud", "stderr"), difficult("hung", "hang"))
    async with host(sshd_factory, *servers, connected=("one", "deaf", "loud")) as there:
        await until(lambda: there.running() == 4, "all to run")
        await there.call("one__echo", text="x")
        await until(lambda: there.running() == 4 and _orphans(there.sshd) == 1, "all to run")
    await until(lambda: there.running() == 0 and _orphans(there.sshd) == 0, "all to be gone", seconds=2)


async def test_servers_that_can_not_be_used_say_why_and_take_nothing_else_down(sshd_factory: SshdFactory) -> None:
    """What fails silently with tunnels made by hand: PATH, path, token, a server that does not run."""
    token = "right-token"

    def guarded(request: Request) -> Response:
        known = request.headers.get("authorization") == f"Bearer {token}"
        return PlainTextResponse("not here", 404) if known else JSONResponse({"error": "unauthorized"}, 401)

    async with serving(answering(guarded)) as port, serving(mcp_app("stream", Seen())) as works:
        url = f"http://127.0.0.1:{port}/mcp"
        nobody = f"http://127.0.0.1:{free_port()}/mcp"
        right, wrong = (Header(name="Authorization", value=f"Bearer {each}") for each in (token, "wrong"))
        bad = {
            "path": (StdioServer(command="uvx-of-nobody", args=("x",)), "CommandNotFound", "uvx-of-nobody"),
            "notfound": (HttpServer(url=url, headers=(right,)), "EndpointNotFound", "404"),
            "token": (HttpServer(url=url, headers=(wrong,)), "Unauthorized", "401"),
            "nobody": (HttpServer(url=nobody), "NotListening", nobody.removesuffix("/mcp").removeprefix("http://")),
        }
        servers = [McpServer(name=name, server=server) for name, (server, _, _) in bad.items()]
        good = McpServer(name="works", server=HttpServer(url=f"http://127.0.0.1:{works}/mcp"))
        crash = difficult("crash", "crash")
        hang = difficult("hang", "hang", start_timeout=2.0)
        async with host(sshd_factory, *servers, crash, hang, good, connected=("works",)) as there:
            expected = {name: (reason, words) for name, (_, reason, words) in bad.items()}
            expected |= {
                "crash": ("StartFailed", "can't open the database"),
                "hang": ("NotResponding", "2 s"),
            }
            await until(
                lambda: all(there.status(name).reason == reason for name, (reason, _) in expected.items()),
                f"the reasons: {there.endpoint.sidecar.status().mcp_servers}",
            )
            for name, (reason, words) in expected.items():
                assert words in there.status(name).message
                for mode in ERAS:
                    text, code = await there.call(f"{name}__anything", mode)
                    assert code is not None, text
                    assert code.removeprefix("mcp_server_").replace("_", "") in (reason.lower(), "starting")
            assert (await there.call("works__noop"))[0] == "ok"


async def test_a_tunnel_that_drops_is_said_to_be_down_and_comes_back(sshd_factory: SshdFactory) -> None:
    async with serving(mcp_app("stream", Seen())) as port:
        server = McpServer(name="far", server=HttpServer(url=f"http://127.0.0.1:{port}/mcp"))
        async with host(sshd_factory, server) as there:
            waiting = asyncio.create_task(there.call("far__wait"))
            await until(lambda: there.calling("far__wait"), "the call")
            await asyncio.to_thread(there.sshd.stop)
            assert (await waiting)[1] == "mcp_server_link_down"
            text, code = await there.call("far__noop")
            assert code == "mcp_server_link_down", text
            await asyncio.to_thread(there.sshd.start)

            async def works() -> bool:
                return await there.call("far__noop") == ("ok", None)

            await until(works, "the server to be reached again")
