"""Calls at a steady pace while something is changed: none may fail, and no pod may be replaced."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.support.agent import agent
from tests.e2e.support.hosts import Shop
from tests.e2e.support.waiting import wait_until

PACE = 0.05
"""Seconds from one call to the next, whether or not that has been answered."""
MOST_UNANSWERED = 8
"""Where there are so many, the machine can't keep up: the next call waits for an answer to one of them, or all would
wait longer and longer until they fail for nothing but that. One connection to the host has sessions for these."""


@dataclass
class Load:
    """What has become of the calls."""

    started: int = 0
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    stalled: float = 0.0
    """How long the client itself got no processor at most: no call is faster than that."""

    def until_more(self, calls: int = 20) -> None:
        """Wait until so many further calls have been answered."""
        wanted = self.answered + calls
        wait_until(lambda: self.answered >= wanted or self.failures, what="further calls are answered")


@contextmanager
def steady_calls(shop: Shop, name: str = "web-01", token: str = "agent") -> Iterator[Load]:
    """A command every 50 ms from one MCP client; at the end none has failed and the pod is the one that it was."""
    load, stop = Load(), threading.Event()
    before = _pods(shop, name)
    url, secret = shop.url(name), shop.token(token)
    thread = threading.Thread(target=lambda: asyncio.run(_keep_calling(url, secret, load, stop)))
    thread.start()
    try:
        load.until_more()
        yield load
        load.until_more()
    finally:
        stop.set()
        thread.join()
    assert not load.failures, f"{len(load.failures)} of {load.started}: {load.failures[:3]}"
    assert load.answered == load.started
    assert _pods(shop, name) == before
    slowest, stalled = load.slowest * 1000, load.stalled * 1000
    print(f"{load.answered} calls, none failed; the slowest took {slowest:.0f} ms, the client stalled {stalled:.0f} ms")


async def _keep_calling(url: str, token: str, load: Load, stop: threading.Event) -> None:
    try:
        async with agent(url, token) as client, asyncio.TaskGroup() as calls:
            room = asyncio.Semaphore(MOST_UNANSWERED)

            async def one(number: int) -> None:
                began = time.monotonic()
                try:
                    result = await client.call_tool("execute_command", {"command": f"echo {number}"})
                    output = (result.structured_content or {}).get("stdout")
                    if result.is_error or output != f"{number}\n":
                        load.failures.append(str(result.content))
                except Exception as error:  # noqa: BLE001 - whatever it is, the call has failed
                    load.failures.append(repr(error))
                load.answered += 1
                load.slowest = max(load.slowest, time.monotonic() - began)
                room.release()

            while not stop.is_set():
                await room.acquire()
                load.started += 1
                calls.create_task(one(load.started))
                paused = time.monotonic()
                await asyncio.sleep(PACE)
                load.stalled = max(load.stalled, time.monotonic() - paused - PACE)
    except Exception as error:  # noqa: BLE001 - the client itself has failed
        load.failures.append(repr(error))


def _pods(shop: Shop, name: str) -> dict[str, int]:
    """UID -> restarts."""
    return {
        pod["metadata"]["uid"]: sum(some["restartCount"] for some in pod["status"]["containerStatuses"])
        for pod in shop.kube.list("pods", shop.namespace, f"fairlead.dev/host={name}")
    }
