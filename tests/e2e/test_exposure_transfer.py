"""Long streams and large files pass the Ingress and the Gateway as they pass the Service."""

import asyncio
import hashlib
import itertools
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.support.agent import agent, call, initialize
from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import Object
from tests.e2e.support.objects import mcp_token, remote_host

LONGER_THAN_A_MINUTE = 66
"""Seconds: the usual patience of proxies is a minute."""
CHUNK = 3_000_000
CHUNKS = 7
HOSTS = ("by-ingress", "by-gateway")


@pytest.fixture(scope="module")
def published(shared_shop: Shop, gateway: Object) -> Iterator[Shop]:
    """One SSH server behind an Ingress and behind a Gateway."""
    kube, namespace = shared_shop.kube, shared_shop.namespace
    ingress = {"type": "Ingress"}
    route = {"type": "HTTPRoute", "httpRoute": {"parentRefs": [gateway]}}
    server, auth = shared_shop.ssh_host, shared_shop.host()["spec"]["auth"]
    limits = {"foregroundTimeout": "5m", "outputBytes": "16Mi"}
    for host, endpoint in zip(HOSTS, (ingress, route), strict=True):
        published = {"auth": auth, "endpoint": endpoint, "limits": limits}
        kube.apply(remote_host(namespace, host, server.address, server.public_host_key, **published))
    kube.apply(mcp_token(namespace, "transfer", list(HOSTS)))
    for host in HOSTS:
        shared_shop.wait_ready(host)
        shared_shop.wait_routed(host)
    shared_shop.wait_token_ready("transfer")
    yield shared_shop
    for host in HOSTS:
        kube.delete("remotehost", host, namespace, wait=False)
    kube.delete("mcptoken", "transfer", namespace, wait=False)


async def _with_progress(url: str, token: str, command: str) -> tuple[str, list[float]]:
    """What a command printed, and when its progress was heard of."""
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(time.monotonic())

    async with agent(url, token) as client:
        result = await client.call_tool("execute_command", {"command": command}, progress_callback=hear)
    assert not result.is_error
    assert result.structured_content is not None
    return str(result.structured_content["stdout"]), heard


async def test_a_stream_lasts_longer_than_a_minute_whether_it_is_busy_or_silent(published: Shop) -> None:
    busy = f"for i in $(seq {LONGER_THAN_A_MINUTE}); do echo $i; sleep 1; done"
    silent = f"sleep {LONGER_THAN_A_MINUTE}; echo done"
    token = published.token("transfer")
    began = time.monotonic()
    outcomes = await asyncio.gather(
        *(_with_progress(published.url(host), token, command) for host in HOSTS for command in (busy, silent))
    )
    for (printed, heard), (waited, _) in (outcomes[:2], outcomes[2:]):
        assert printed.split() == [str(i) for i in range(1, LONGER_THAN_A_MINUTE + 1)]
        assert waited == "done\n"
        # Nothing on the way collected it: it came bit by bit, from the first seconds on until after the first minute.
        assert heard[0] - began < 20
        assert heard[-1] - began > 60
        assert max(after - before for before, after in itertools.pairwise(heard)) < 20


@pytest.mark.parametrize("host", HOSTS)
async def test_twenty_megabytes_go_there_and_come_back(published: Shop, host: str) -> None:
    url, token, path = published.url(host), published.token("transfer"), f"/tmp/{host}.bulk"
    line = b"0123456789abcdef" * 16 + b"\n"
    content = (line * (CHUNK * CHUNKS // len(line) + 1))[: CHUNK * CHUNKS]
    async with agent(url, token) as client:
        for number in range(CHUNKS):
            chunk = content[number * CHUNK : (number + 1) * CHUNK].decode()
            arguments = {"path": path, "content": chunk, "append": number > 0}
            written = await client.call_tool("write_file", arguments)
            assert not written.is_error
        assert published.ssh_host.run("sha256sum", path).split()[0] == hashlib.sha256(content).hexdigest()
        received, offset = bytearray(), 0
        while offset is not None:
            arguments = {"path": path, "offset": offset, "max_bytes": 16 * 1024 * 1024}
            piece = (await client.call_tool("read_file", arguments)).structured_content
            assert piece is not None
            received += piece["content"].encode()
            offset = piece["next_offset"]
    assert bytes(received) == content
    published.ssh_host.run("rm", path)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_long_lived_get_stays_open_until_the_session_is_deleted(published: Shop, host: str) -> None:
    url, token = published.url(host), published.token("transfer")
    opened = initialize(url, token)
    assert opened.status_code == 200
    session = {
        "Authorization": f"Bearer {token}",
        "Mcp-Session-Id": opened.headers["mcp-session-id"],
        "MCP-Protocol-Version": "2025-06-18",
    }
    async with httpx.AsyncClient(timeout=40, headers=session | {"Accept": "text/event-stream"}) as http:
        async with http.stream("GET", url) as stream:
            assert stream.status_code == 200
            bits = stream.aiter_raw()
            # The first comment that keeps it alive comes through at once, and not with many others.
            assert await asyncio.wait_for(anext(bits), timeout=30)
            assert (await http.delete(url)).status_code in {200, 204}
            async with asyncio.timeout(30):
                async for _ in bits:
                    pass
        again = await http.get(url)
        assert again.status_code == 404


async def test_both_lead_to_the_same_account(published: Shop) -> None:
    for host in HOSTS:
        result = await call(published.url(host), published.token("transfer"), "execute_command", command="id -un")
        assert (result["stdout"], result["host"]) == ("deploy\n", host)
