"""A new pod takes over from the old one, and agents lose nothing of what they have begun."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.support.agent import agent, initialize
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.install import Installation
from tests.e2e.support.kube import Kube, Object, condition
from tests.e2e.support.load import MOST_UNANSWERED
from tests.e2e.support.objects import remote_host, secret
from tests.e2e.support.waiting import seconds_until, wait_until

pytestmark = pytest.mark.alone
INTERVAL = 0.05


@dataclass
class Load:
    """Short calls, one every 50 ms as far as the machine keeps up, by one client of the modern protocol."""

    url: str
    token: str
    done: int = 0
    slowest: float = 0.0
    failed: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call for as long as the block runs, and a second longer."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            await asyncio.sleep(1)
            yield
            await asyncio.sleep(1)
        finally:
            stop.set()
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        room = asyncio.Semaphore(MOST_UNANSWERED)
        async with agent(self.url, self.token) as client, asyncio.TaskGroup() as calls:
            while not stop.is_set():
                await room.acquire()
                calls.create_task(self._call(client)).add_done_callback(lambda _: room.release())
                await asyncio.sleep(INTERVAL)

    async def _call(self, client: Client) -> None:
        began = time.monotonic()
        try:
            result = await client.call_tool("execute_command", {"command": "echo hi"})
            if result.is_error or (result.structured_content or {}).get("stdout") != "hi\n":
                self.failed.append(str(result.structured_content))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what an agent would have got
            self.failed.append(repr(error))
        self.done += 1
        self.slowest = max(self.slowest, time.monotonic() - began)


def pods(shop: Shop) -> list[Object]:
    return shop.kube.list("pods", shop.namespace, "fairlead.dev/host=web-01")


def names(shop: Shop) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods(shop)}


async def wait(shop: Shop, old: set[str]) -> None:
    """Wait until only new pods are left, which are Ready."""
    await asyncio.to_thread(wait_until, lambda: bool(names(shop)) and not names(shop) & old, what="the old pod is gone")
    await asyncio.to_thread(shop.wait_ready)


async def kubectl(shop: Shop, *arguments: str) -> str:
    return await asyncio.to_thread(shop.kube.run, *arguments, "-n", shop.namespace)


@pytest.mark.parametrize("change", ["restart", "placement"])
async def test_a_rollout_under_load_loses_no_call(shop: Shop, change: str) -> None:
    load, old = Load(shop.url(), shop.token()), names(shop)
    async with load.running():
        if change == "restart":
            await kubectl(shop, "rollout", "restart", "deployment/rh-web-01")
        else:
            patch = '{"spec":{"sidecar":{"labels":{"tier":"edge"},"nodeSelector":{"kubernetes.io/os":"linux"}}}}'
            await kubectl(shop, "patch", "rh", "web-01", "--type=merge", "-p", patch)
        await wait(shop, old)
    assert not load.failed, (load.done, load.failed[:5])
    assert load.done > 100
    (pod,) = pods(shop)
    assert (pod["metadata"]["labels"].get("tier") == "edge") is (change == "placement")


async def test_a_command_under_way_comes_to_its_end_on_the_old_pod(shop: Shop) -> None:
    old = names(shop)
    async with agent(shop.url(), shop.token()) as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": "sleep 12; echo survived"}))
        await asyncio.to_thread(wait_until, lambda: shop.ssh_host.processes("sleep 12"), what="it runs")
        await kubectl(shop, "rollout", "restart", "deployment/rh-web-01")
        result = await call
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "survived\n"
    await wait(shop, old)


async def test_a_session_of_the_handshake_protocols_is_to_be_begun_anew(shop: Shop) -> None:
    old = names(shop)
    session = initialize(shop.url(), shop.token()).headers["mcp-session-id"]
    shop.kube.run("rollout", "restart", "deployment/rh-web-01", "-n", shop.namespace)
    await wait(shop, old)
    headers = {
        "Authorization": f"Bearer {shop.token()}",
        "Accept": "application/json, text/event-stream",
        "Mcp-Session-Id": session,
    }
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
    async with httpx.AsyncClient(timeout=30) as http:
        assert (await http.post(shop.url(), json=body, headers=headers)).status_code == 404
    assert initialize(shop.url(), shop.token()).headers["mcp-session-id"] != session


async def test_what_takes_longer_than_the_grace_period_is_killed_on_the_host(shop: Shop) -> None:
    first = names(shop)
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"sidecar": {"terminationGracePeriodSeconds": 15}}})
    await wait(shop, first)
    marker = f"sleep 7{uuid.uuid4().int % 10**6}"
    old = names(shop)
    async with agent(shop.url(), shop.token()) as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": marker}))
        await asyncio.to_thread(wait_until, lambda: shop.ssh_host.processes(marker), what="it runs")
        await kubectl(shop, "rollout", "restart", "deployment/rh-web-01")
        result = await call
    assert result.is_error
    assert "shutting down" in str(result.structured_content)
    await wait(shop, old)
    assert not shop.ssh_host.processes(marker)


@pytest.mark.parametrize("what", ["token deleted", "host suspended", "host deleted"])
async def test_who_loses_the_right_meanwhile_loses_it_on_the_old_pod_too(shop: Shop, what: str) -> None:
    patch = {"spec": {"sidecar": {"terminationGracePeriodSeconds": 120}}}
    old = names(shop)
    shop.kube.patch("rh", "web-01", shop.namespace, patch)
    await wait(shop, old)
    marker = f"sleep 8{uuid.uuid4().int % 10**6}"
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {shop.token()}"}, timeout=60) as http:
        with contextlib.suppress(Exception):  # how the client learns of its end is another test's matter
            async with Client(streamable_http_client(shop.url(), http_client=http)) as client:
                call = asyncio.create_task(client.call_tool("execute_command", {"command": marker}))
                await asyncio.to_thread(wait_until, lambda: shop.ssh_host.processes(marker), what="it runs")
                if what == "token deleted":
                    await kubectl(shop, "rollout", "restart", "deployment/rh-web-01")
                    await asyncio.to_thread(wait_until, lambda: _leaving(shop), what="the old pod leaves")
                match what:
                    case "token deleted":
                        await kubectl(shop, "delete", "mcptoken", "agent", "--wait=false")
                    case "host suspended":
                        await kubectl(
                            shop, "patch", "rh", "web-01", "--type=merge", "-p", '{"spec":{"suspended":true}}'
                        )
                    case _:
                        await kubectl(shop, "delete", "rh", "web-01", "--wait=false")
                seconds = await asyncio.to_thread(
                    seconds_until, lambda: not shop.ssh_host.processes(marker), what="it is dead"
                )
                call.cancel()
    assert seconds < 5


def _leaving(shop: Shop) -> bool:
    return any("deletionTimestamp" in pod["metadata"] for pod in pods(shop))


@pytest.mark.parametrize(
    ("sidecar", "sentence"),
    [
        ({"nodeSelector": {"role": "nowhere"}}, "didn't match Pod's node affinity/selector"),
        ({"priorityClassName": "no-such-class"}, "no PriorityClass with name no-such-class"),
    ],
    ids=["node", "priority"],
)
def test_a_first_pod_that_can_not_be_placed_is_told_in_the_condition(
    kube: Kube, installation: Installation, namespace: str, ssh_host: SshHost, sidecar: Object, sentence: str
) -> None:
    shop = Shop(kube, installation, namespace, ssh_host)
    kube.apply(
        secret(namespace, "web-01-ssh", ssh_privatekey=ssh_host.private_key),
        remote_host(namespace, "web-01", ssh_host.address, ssh_host.public_host_key, sidecar=sidecar),
    )
    wait_until(lambda: sentence in _message(shop), what=f"the host says: {sentence}")
    assert shop.wait_not_ready("PodNotReady")


def test_where_a_new_pod_can_not_be_placed_the_old_one_goes_on(shop: Shop) -> None:
    old = names(shop)
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"sidecar": {"nodeSelector": {"role": "nowhere"}}}})
    wait_until(lambda: len(names(shop)) == 2, what="a new pod waits for a node")
    assert names(shop) > old
    assert initialize(shop.url(), shop.token()).status_code == 200
    shop.wait_ready()


def _message(shop: Shop) -> str:
    return str(condition(shop.host(), "Ready").get("message", ""))
