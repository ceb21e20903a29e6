"""All upstream servers of a host follow the configuration and the link."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fairlead_sidecar.config import (
    McpServer,
    PinnedHostKeys,
    SecretFiles,
    SecretValue,
    SidecarConfig,
    StdioServer,
    Target,
    Variable,
)
from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.spec import OpenWire
from fairlead_sidecar.upstream.upstreams import UpstreamServers
from tests.integration.upstream.local_wire import LocalServer, awkward, call, text


def stdio(name: str, command: str = "", *variables: Variable) -> McpServer:
    """A server whose command is the mode of `awkward.py`."""
    return McpServer(name=name, server=StdioServer(command=command, variables=variables))


def config(*servers: McpServer, **more: Any) -> SidecarConfig:
    return SidecarConfig(
        instance="i",
        namespace="n",
        name="h",
        target=Target(address="h", username="u"),
        auth=SecretFiles(secret_name="s"),
        host_key=PinnedHostKeys(public_keys=("k",)),
        mcp_servers=servers,
        **more,
    )


class Host:
    """Starts what the configuration names as local processes."""

    def __init__(self) -> None:
        self.locals: dict[str, LocalServer] = {}
        self.upstreams = UpstreamServers(self.opener_of)
        self._changed = asyncio.Event()
        self.upstreams.on_change.append(self._changed.set)

    def opener_of(self, server: McpServer) -> OpenWire:
        assert isinstance(server.server, StdioServer)
        local = self.locals.setdefault(server.name, awkward(server.server.command))
        return local.open

    def ready(self) -> list[str]:
        return [status.name for status in self.upstreams.statuses() if status.ready]

    def starts(self) -> dict[str, int]:
        return {name: local.started for name, local in self.locals.items()}

    async def until_ready(self, *names: str, timeout: float = 60) -> None:
        async with asyncio.timeout(timeout):
            while self.ready() != list(names):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def host() -> AsyncIterator[Host]:
    it = Host()
    try:
        yield it
    finally:
        await it.upstreams.close()
        assert all(not local.running for local in it.locals.values())


async def test_servers_start_when_the_link_comes_up_and_end_when_it_goes_down() -> None:
    async with host() as it:
        it.upstreams.configure(config(stdio("b"), stdio("a")))
        assert [(status.name, status.reason) for status in it.upstreams.statuses()] == [
            ("b", "LinkDown"),
            ("a", "LinkDown"),
        ]
        it.upstreams.link_up()
        await it.until_ready("b", "a")
        it.upstreams.link_down("Host is down.")
        assert [status.reason for status in it.upstreams.statuses()] == ["LinkDown", "LinkDown"]
        assert "Host is down." in it.upstreams.statuses()[0].message
        it.upstreams.link_up()
        await it.until_ready("b", "a")


async def test_only_servers_that_changed_are_started_anew_and_the_order_is_the_configurations() -> None:
    async with host() as it:
        it.upstreams.link_up()
        it.upstreams.configure(config(stdio("a"), stdio("b"), stdio("c")))
        await it.until_ready("a", "b", "c")
        kept = it.upstreams.all()["a"]
        it.upstreams.configure(config(stdio("d"), stdio("b", "unusable"), stdio("a")))
        await it.until_ready("d", "b", "a")
        assert it.upstreams.all()["a"] is kept
        assert it.starts() == {"a": 1, "b": 2, "c": 1, "d": 1}
        assert it.locals["c"].running == []


async def test_a_call_of_a_server_that_is_removed_fails_with_a_reason() -> None:
    async with host() as it:
        it.upstreams.link_up()
        it.upstreams.configure(config(stdio("a", "silent")))
        await it.until_ready("a")
        session = await it.upstreams.all()["a"].session("client")
        calling = asyncio.create_task(session.request("tools/call", call("a")))
        await asyncio.sleep(0.1)
        it.upstreams.configure(config())
        with pytest.raises(UpstreamError, match="was removed"):
            await calling


async def test_new_content_of_a_secret_starts_the_servers_anew_that_use_it(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("old")
    variable = Variable(name="TOKEN", secret=SecretValue(file=secret, name="app/token"))
    wanted = config(stdio("a", "", variable), stdio("b"))
    async with host() as it:
        it.upstreams.link_up()
        it.upstreams.configure(wanted)
        await it.until_ready("a", "b")
        it.upstreams.configure(wanted)
        assert it.starts() == {"a": 1, "b": 1}
        secret.write_text("new")
        it.upstreams.configure(wanted)
        await it.until_ready("a", "b")
        assert it.starts() == {"a": 2, "b": 1}


async def test_one_server_that_is_down_takes_no_other_down() -> None:
    async with host() as it:
        it.upstreams.link_up()
        it.upstreams.configure(config(stdio("bad", "crash"), stdio("good"), stdio("hung", "hang")))
        await it.until_ready("good")
        session = await it.upstreams.all()["good"].session("client")
        assert text(await session.request("tools/call", call("a"))) == "done"


async def test_a_hanging_start_does_not_hold_up_the_end() -> None:
    async with host() as it:
        it.upstreams.link_up()
        it.upstreams.configure(config(stdio("hung", "hang")))
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        await it.upstreams.close()
        assert time.monotonic() - begun < 10


async def test_fifty_servers_start_together_and_take_little_memory() -> None:
    names = [f"s{number:02}" for number in range(50)]
    process = psutil.Process()
    async with host() as it:
        it.upstreams.link_up()
        before, begun = process.memory_info().rss, time.monotonic()
        it.upstreams.configure(config(*(stdio(name) for name in names)))
        await it.until_ready(*names, timeout=60)
        took, grown = time.monotonic() - begun, process.memory_info().rss - before
        print(f"50 servers ready after {took:.2f} s, {grown / 1024:.0f} KiB more memory")
        assert grown < 32 * 1024 * 1024
        answers = await asyncio.gather(*(_call(it, name) for name in names))
        assert answers == ["done"] * 50


async def _call(it: Host, name: str) -> str:
    session = await it.upstreams.all()[name].session("client")
    return text(await session.request("tools/call", call("a")))
