"""Tokens that follow each other, as agents at work see it."""

import asyncio
import json
import time

import pytest

from tests.e2e.support.agent import agent, call, initialize, refused
from tests.e2e.support.hosts import Shop
from tests.e2e.support.waiting import wait_until


def rotate(shop: Shop, value: str = "1") -> None:
    """Ask for another token."""
    shop.kube.run("annotate", "mcptoken", "agent", "-n", shop.namespace, f"fairlead.dev/rotate={value}", "--overwrite")


def events(shop: Shop, reason: str) -> list[str]:
    """The messages of the Events with this reason."""
    found = json.loads(shop.kube.run("get", "events.events.k8s.io", "-n", shop.namespace, "-o", "json"))
    return [event["note"] for event in found["items"] if event["reason"] == reason]


@pytest.mark.alone
async def test_no_call_fails_while_a_token_gives_way_and_the_new_one_works_at_once(shop: Shop) -> None:
    url, old = shop.url(), shop.token()
    calls, stop = [0], asyncio.Event()

    async def work() -> None:
        async with agent(url, old) as client:
            while not stop.is_set():
                result = await client.call_tool("execute_command", {"command": "echo here"})
                assert not result.is_error, result
                calls[0] += 1

    working = asyncio.create_task(work())
    await asyncio.to_thread(wait_until, lambda: calls[0] > 2, what="the agent is at work")
    began = time.monotonic()
    await asyncio.to_thread(rotate, shop)
    new = await asyncio.to_thread(
        wait_until, lambda: token if (token := shop.token()) != old else None, what="a new token", interval=0.02
    )
    seconds = time.monotonic() - began
    assert initialize(url, new).status_code == 200, "who reads the Secret can use it at once"
    assert seconds < 5, "hosts that answer need no patience"
    before = calls[0]
    await asyncio.to_thread(wait_until, lambda: calls[0] > before + 5, what="the agent goes on")
    stop.set()
    await working
    assert (await call(url, new, "connection_status"))["host"] == "web-01"
    assert (await call(url, old, "connection_status"))["host"] == "web-01"
    (told,) = await asyncio.to_thread(wait_until, lambda: events(shop, "Rotated"), what="the Event")
    assert "the annotation fairlead.dev/rotate asked for it" in told
    found = shop.kube.get("mcptoken", "agent", shop.namespace) or {}
    assert found["status"]["tokenID"] == new.split("_")[1]


def test_a_former_token_is_refused_after_the_overlap_and_the_new_one_goes_on(shop: Shop) -> None:
    url, old = shop.url(), shop.token()
    shop.kube.patch("mcptoken", "agent", shop.namespace, {"spec": {"rotation": {"overlap": "10s"}}})
    rotate(shop)
    wait_until(lambda: shop.token() != old, what="a new token", interval=0.05)
    shown = time.monotonic()
    assert initialize(url, old).status_code == 200
    wait_until(lambda: refused(url, old), what="the former token ends", interval=0.05)
    assert 5 < time.monotonic() - shown < 15
    assert initialize(url, shop.token()).status_code == 200


async def test_a_running_command_goes_on_across_a_rotation_for_whoever_has_the_new_token(shop: Shop) -> None:
    url, old = shop.url(), shop.token()
    shop.kube.patch("remotehost", "web-01", shop.namespace, {"spec": {"limits": {"foregroundTimeout": "1s"}}})
    shop.kube.patch("mcptoken", "agent", shop.namespace, {"spec": {"rotation": {"overlap": "0s"}}})
    await asyncio.to_thread(shop.wait_ready)
    started = await call(url, old, "execute_command", command="sleep 12; echo over")
    rotate(shop)
    await asyncio.to_thread(wait_until, lambda: shop.token() != old, what="a new token")
    await asyncio.to_thread(wait_until, lambda: refused(url, old), what="the former token is refused")
    output: list[str] = []
    while True:
        look = await call(url, shop.token(), "command_output", command_id=started["command_id"], wait_seconds=1)
        output.append(look["stdout"])
        if look["status"] != "running":
            break
    assert "".join(output) == "over\n"


async def test_the_hour_of_the_last_use_is_in_the_status(shop: Shop) -> None:
    await call(shop.url(), shop.token(), "connection_status")

    def used() -> str | None:
        found = shop.kube.get("mcptoken", "agent", shop.namespace)
        assert found is not None
        time: str | None = found["status"].get("lastUsedTime")
        return time

    hour = await asyncio.to_thread(wait_until, used, what="the use is known")
    assert hour.endswith(":00:00Z")
    version = (shop.kube.get("mcptoken", "agent", shop.namespace) or {})["metadata"]["resourceVersion"]
    for _ in range(5):
        await call(shop.url(), shop.token(), "connection_status")
    again = shop.kube.get("mcptoken", "agent", shop.namespace) or {}
    assert again["status"]["lastUsedTime"] != hour or again["metadata"]["resourceVersion"] == version
