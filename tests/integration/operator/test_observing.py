"""The operator's eyes, on real sidecars: status, handshake, public URL."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import asyncssh
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from fairlead_api.conditions import HostReason
from fairlead_operator.observe.exposure import ExposureCheck
from fairlead_operator.observe.handshake import shake_hands
from fairlead_operator.observe.http import open_public_session, open_session
from fairlead_operator.observe.sidecar import SidecarObserver, Target
from fairlead_operator.settings import Settings
from fairlead_sidecar import tokens
from fairlead_sidecar.config import McpServer, PinnedHostKeys, SecretFiles, SidecarConfig, StdioServer, digest
from fairlead_sidecar.config import Target as SshTarget
from tests.integration.app.endpoint import RunningEndpoint, running, until
from tests.integration.sshd import Sshd, free_port, sshd, sshd_factory

SETTINGS = Settings(namespace="fairlead-system", sidecar_image="sidecar:1")

__all__ = ["sshd", "sshd_factory"]


class Everywhere(AbstractResolver):
    """Resolves every name to this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture
async def resolving() -> AsyncIterator[aiohttp.ClientSession]:
    """A session for which every domain leads here."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Everywhere())) as session:
        yield session


@pytest.fixture
async def endpoint(sshd: Sshd) -> AsyncIterator[RunningEndpoint]:
    async with running(sshd.sidecar_config()) as endpoint:
        yield endpoint


def public(endpoint: RunningEndpoint) -> str:
    """The endpoint's URL under a name of its own."""
    return endpoint.url.replace("127.0.0.1", "mcp.example.com")


async def test_a_handshake_with_the_probes_token_lists_the_tools(
    endpoint: RunningEndpoint, session: aiohttp.ClientSession
) -> None:
    result = await shake_hands(session, endpoint.url, "rh-web-01.shop.svc", endpoint.probe)
    assert result.ok, result.message
    assert result.tool_count == endpoint.sidecar.status().tool_count


async def test_a_handshake_leaves_no_session_behind(endpoint: RunningEndpoint, session: aiohttp.ClientSession) -> None:
    for _ in range(3):
        assert (await shake_hands(session, endpoint.url, "rh-web-01.shop.svc", endpoint.probe)).ok
    async with session.get(f"{endpoint.internal_url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert [line for line in lines if line.startswith("fairlead_sessions ")] == ["fairlead_sessions 0.0"]


async def test_a_refused_handshake_says_how(endpoint: RunningEndpoint, session: aiohttp.ClientSession) -> None:
    other = tokens.probe_token(b"another key of thirty-two bytes!", endpoint.config.instance)
    result = await shake_hands(session, endpoint.url, "rh-web-01.shop.svc", other)
    assert not result.ok
    assert "HTTP 401" in result.message
    result = await shake_hands(session, f"http://127.0.0.1:{free_port()}/mcp", "rh-web-01.shop.svc", other)
    assert not result.ok


def settings(endpoint: RunningEndpoint) -> Settings:
    """Settings whose default endpoint is where this one is."""
    prefix = public(endpoint).removesuffix(endpoint.config.endpoint.path + "/mcp")
    return Settings(namespace="fairlead-system", sidecar_image="sidecar:1", endpoint_url_prefix=prefix)


async def test_the_public_url_is_recognised_by_the_instance(
    endpoint: RunningEndpoint, resolving: aiohttp.ClientSession
) -> None:
    check = ExposureCheck(resolving, settings(endpoint))
    own = await check(public(endpoint), endpoint.config.instance)
    assert own.reason is HostReason.INSECURE_HTTP
    other = await check(public(endpoint), "somebody-else")
    assert other.reason is HostReason.ENDPOINT_MISROUTED
    nobody = await check(f"http://mcp.example.com:{free_port()}/mcp", endpoint.config.instance)
    assert nobody.reason is HostReason.ENDPOINT_UNREACHABLE


async def test_of_a_url_that_a_user_chose_it_is_not_told_whether_anything_answers(
    endpoint: RunningEndpoint, resolving: aiohttp.ClientSession
) -> None:
    check = ExposureCheck(resolving, settings(endpoint))
    answering = public(endpoint).replace("mcp.example.com", "chosen.example.com")
    silent = f"http://chosen.example.com:{free_port()}/mcp"
    outcomes = {await check(url, "somebody-else") for url in (answering, silent)}
    assert {outcome.reason for outcome in outcomes} == {HostReason.ENDPOINT_UNREACHABLE}
    assert len({outcome.message.replace(answering, "URL").replace(silent, "URL") for outcome in outcomes}) == 1
    assert (await check(answering, endpoint.config.instance)).reason is HostReason.INSECURE_HTTP


async def test_only_paths_of_mcp_endpoints_are_asked(
    endpoint: RunningEndpoint, resolving: aiohttp.ClientSession
) -> None:
    before = len(endpoint.audit("denial"))
    check = ExposureCheck(resolving, settings(endpoint))
    result = await check(public(endpoint).removesuffix("/mcp") + "/admin/delete", endpoint.config.instance)
    assert result.reason is HostReason.ENDPOINT_UNREACHABLE
    assert len(endpoint.audit("denial")) == before


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]"],
)
async def test_this_machine_is_not_asked_however_it_is_spelled(endpoint: RunningEndpoint, host: str) -> None:
    async with open_public_session() as session:
        url = endpoint.url.replace("127.0.0.1", host)
        result = await ExposureCheck(session, settings(endpoint))(url, endpoint.config.instance)
    assert result.reason is HostReason.ENDPOINT_UNREACHABLE
    assert endpoint.audit("denial") == []


async def test_a_name_that_resolves_to_this_machine_is_not_asked(endpoint: RunningEndpoint) -> None:
    async with open_public_session() as session:
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector._resolver = Everywhere()
        result = await ExposureCheck(session, settings(endpoint))(public(endpoint), endpoint.config.instance)
    assert result.reason is HostReason.ENDPOINT_UNREACHABLE
    assert endpoint.audit("denial") == []


Watch = Callable[..., Awaitable[SidecarObserver]]


@pytest.fixture
async def watch(session: aiohttp.ClientSession) -> AsyncIterator[Watch]:
    """Starts observers; `poked` of each collects what it asked a kubelet to sync."""
    observers: list[SidecarObserver] = []

    async def start(target: Target, poke: Callable[[str], Awaitable[None]] | None = None) -> SidecarObserver:
        async def nothing(digest: str) -> None:
            return

        async def no_problem() -> str:
            return ""

        observer = SidecarObserver(
            session,
            target,
            changed=lambda: None,
            check_exposure=ExposureCheck(session, SETTINGS),
            poke=poke or nothing,
            pod_problem=no_problem,
        )
        observers.append(observer)
        return observer

    yield start
    for observer in observers:
        await observer.close()


def target_of(endpoint: RunningEndpoint, config: SidecarConfig | None = None) -> Target:
    wanted = digest((config or endpoint.config).render())
    return Target(
        instance=endpoint.config.instance,
        status_url=f"{endpoint.internal_url}/statusz",
        mcp_url=endpoint.url,
        host_header="rh-web-01.shop.svc",
        public_url=None,
        probe_token=endpoint.probe,
        digest=wanted,
        current=frozenset({wanted}),
    )


async def test_a_connected_sidecar_is_seen_with_its_handshake(endpoint: RunningEndpoint, watch: Watch) -> None:
    observer = await watch(target_of(endpoint))
    await until(lambda: observer.view.handshake is not None, "the handshake")
    assert observer.view.handshake is not None
    assert observer.view.handshake.ok
    assert observer.view.outdated_since is None


async def test_a_sidecar_with_many_broken_mcp_servers_that_say_much_is_seen_and_works(
    endpoint: RunningEndpoint, watch: Watch
) -> None:
    loud = StdioServer(command="/bin/sh", args=("-c", "for i in $(seq 20); do printf '%099d\\n' $i >&2; done; exit 1"))
    names = [f"s{number}" for number in range(50)]
    endpoint.reconfigure(mcp_servers=tuple(McpServer(name=name, server=loud) for name in names))
    observer = await watch(target_of(endpoint))

    def reasons() -> dict[str, str]:
        servers = observer.view.statusz.mcp_servers if observer.view.statusz else ()
        return {server.name: server.reason for server in servers}

    await until(lambda: reasons() == dict.fromkeys(names, "StartFailed"), "all reasons")
    assert observer.view.statusz is not None
    assert len(observer.view.statusz.model_dump_json()) > 64 * 1024
    await until(lambda: observer.view.handshake is not None and observer.view.handshake.ok, "the handshake")


async def test_a_sidecar_is_poked_until_it_has_the_newest_configuration(
    endpoint: RunningEndpoint, watch: Watch
) -> None:
    newer = endpoint.config.model_copy(update={"description": "newer"})
    pokes: list[str] = []

    async def poke(wanted: str) -> None:
        pokes.append(wanted)
        if len(pokes) == 2:
            endpoint.reconfigure(description="newer")

    observer = await watch(target_of(endpoint, newer), poke)
    await until(lambda: observer.loaded_digest == digest(newer.render()), "the newest configuration")
    assert pokes == [digest(newer.render())] * 2
    assert observer.view.outdated_since is None


async def test_a_lost_host_is_seen_at_once_and_its_return_too(
    endpoint: RunningEndpoint, sshd: Sshd, watch: Watch
) -> None:
    observer = await watch(target_of(endpoint))

    def reason() -> str:
        return observer.view.statusz.link.reason if observer.view.statusz else ""

    await until(lambda: reason() == "Connected", "the link")
    sshd.stop()
    await until(lambda: reason() == "Unreachable", "the loss", seconds=10)
    sshd.start()
    await until(lambda: reason() == "Connected", "the return")


async def test_a_sidecar_that_comes_up_is_found_as_soon_as_something_is_expected(tmp_path: Path, watch: Watch) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    config = SidecarConfig(
        instance="late",
        namespace="shop",
        name="web-01",
        target=SshTarget(address="127.0.0.1", port=free_port(), username="deploy"),
        auth=SecretFiles(directory=tmp_path, secret_name="web-01-ssh"),
        host_key=PinnedHostKeys(public_keys=(key.export_public_key().decode().strip(),)),
    )
    async with running(config, connected=False) as endpoint:
        there = target_of(endpoint)
        observer = await watch(replace(there, status_url=f"http://127.0.0.1:{free_port()}/statusz"))
        await until(lambda: observer.view.silent_since is not None, "the silence")
        observer.retarget(there)
        observer.expect()
        await until(lambda: observer.view.answering, "the answer", seconds=1.5)
    async with asyncio.timeout(60):
        await until(lambda: not observer.view.answering, "the end")


async def test_what_poses_as_a_sidecar_and_never_rests_gets_little_of_the_operators_time(watch: Watch) -> None:
    asked = 0

    async def statusz(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        link = {"state": "Connected", "reason": "Connected", "message": f"{asked}", "since": "2026-03-01T12:00:00Z"}
        return web.json_response({"version": f"{asked}", "config_digest": None, "link": link, "tool_count": 5})

    app = web.Application()
    app.router.add_get("/statusz", statusz)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        url = f"http://127.0.0.1:{port}"
        await watch(Target("uid", f"{url}/statusz", f"{url}/mcp", "rh-web-01.shop.svc", None, "", "1", frozenset()))
        # What changes now and then is seen as it comes.
        await until(lambda: asked >= 50, "many answers")
        before = asked
        await asyncio.sleep(2)
        assert asked - before < 30
    finally:
        await runner.cleanup()
