"""Told to stop while another pod takes over: what was begun comes to its end, what is new is sent elsewhere."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from fairlead_sidecar import leaving
from fairlead_sidecar.config import Endpoint
from tests.integration.app.endpoint import (
    ACCEPT,
    INITIALIZE,
    PATH,
    RunningEndpoint,
    Tokens,
    call,
    initialize,
    lines_of,
    modern_headers,
    processes,
    request,
    running,
    until,
)
from tests.integration.app.process import sidecar
from tests.integration.sshd import PATIENCE_SECONDS, Sshd

MARKER = f"48182838{os.getpid():07}"
HELD = f": {MARKER}; until [ -e go ]; do sleep 0.05; done; echo done"
"""A command that ends once `go` was called."""


@pytest.fixture
async def endpoint(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningEndpoint]:
    """A sidecar that lingers shortly, and gives what was begun half a minute."""
    monkeypatch.setattr(leaving, "LINGER_SECONDS", 0.5)
    async with running(sshd.sidecar_config(drain_timeout=30.0)) as endpoint:
        yield endpoint


def go(sshd: Sshd) -> None:
    """Let `HELD` come to its end."""
    (sshd.home / "go").touch()


def alive(marker: str) -> bool:
    return bool(processes(marker))


async def closed(endpoint: RunningEndpoint) -> None:
    """Wait until nothing new is taken any more."""
    await until(lambda: endpoint.sidecar.takes_nothing_new, "the sidecar to take nothing new")


async def begin(http: httpx.AsyncClient, url: str, command: str, **options: object) -> "asyncio.Task[httpx.Response]":
    """Begin a call of the modern protocol that runs a command, and wait until it runs on the host."""
    message = call("execute_command", modern=True, command=command, **options)
    task = asyncio.create_task(http.post(url, json=message, headers=modern_headers(message)))
    await until(lambda: alive(MARKER), "the command to run")
    return task


async def test_a_call_under_way_is_answered_and_then_everything_ends(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    async with endpoint.http() as http:
        answer = await begin(http, endpoint.url, HELD)
        endpoint.stop.set()
        await closed(endpoint)
        go(sshd)
        (message,) = lines_of(await answer)
        assert message["result"]["structuredContent"]["stdout"] == "done\n"
        await until(lambda: endpoint.sidecar.draining, "the sidecar to end")


async def test_for_a_moment_new_calls_are_taken_and_each_answer_ends_its_connection(
    endpoint: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as a slow machine needs for two requests.
    monkeypatch.setattr(leaving, "LINGER_SECONDS", 4.0)
    message = request("tools/list", {}, modern=True)
    async with endpoint.http() as http:
        before = await http.post(endpoint.url, json=message, headers=modern_headers(message))
        assert "connection" not in before.headers
        endpoint.stop.set()
        await until(lambda: endpoint.sidecar.leaving, "the sidecar to leave")
        ready = await http.get(f"{endpoint.internal_url}/readyz")
        assert (ready.status_code, ready.json()["message"]) == (503, "shutting down")
        during = await http.post(endpoint.url, json=message, headers=modern_headers(message))
        assert (during.status_code, during.headers["connection"]) == (200, "close")
        assert not endpoint.sidecar.takes_nothing_new


async def test_afterwards_what_is_new_is_sent_elsewhere_while_a_call_goes_on(
    endpoint: RunningEndpoint, sshd: Sshd
) -> None:
    async with endpoint.http() as http:
        answer = await begin(http, endpoint.url, HELD)
        endpoint.stop.set()
        await closed(endpoint)
        message = request("tools/list", {}, modern=True)
        # A client of its own: the connections of the other one are just being closed.
        async with endpoint.http() as late:
            for refused in (
                await late.post(endpoint.url, json=INITIALIZE),
                await late.post(endpoint.url, json=message, headers=modern_headers(message)),
                await late.get(endpoint.url),
            ):
                assert (refused.status_code, refused.json()["error"]) == (503, "unavailable")
                assert (refused.headers["retry-after"], refused.headers["connection"]) == ("1", "close")
        go(sshd)
        (message,) = lines_of(await answer)
        assert message["result"]["structuredContent"]["stdout"] == "done\n"


async def test_an_idle_connection_is_closed_so_that_the_next_request_goes_elsewhere(endpoint: RunningEndpoint) -> None:
    reader, writer = await asyncio.open_connection(*endpoint.public.getsockname())
    head = f"GET {PATH}/mcp HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(head.encode())
    assert b"401" in await reader.readline()
    endpoint.stop.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reader.read(-1)
    writer.close()


async def test_who_only_listens_is_sent_away_at_once(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        answer = await begin(http, endpoint.url, HELD)
        listen = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, modern=True)
        async with (
            http.stream("GET", endpoint.url, headers=session) as old,
            http.stream("POST", endpoint.url, json=listen, headers=modern_headers(listen)) as new,
        ):
            assert (old.status_code, new.status_code) == (200, 200)
            endpoint.stop.set()
            await asyncio.gather(old.aread(), new.aread())
        assert not answer.done()
        go(sshd)
        assert (await answer).status_code == 200


async def test_a_call_under_way_can_still_be_cancelled(endpoint: RunningEndpoint) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=f": {MARKER}; sleep 20; echo done")
        answer = asyncio.create_task(http.post(endpoint.url, json=message, headers=session))
        await until(lambda: alive(MARKER), "the command to run")
        endpoint.stop.set()
        await closed(endpoint)
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": message["id"]}}
        async with endpoint.http() as late:
            assert (await late.post(endpoint.url, json=note, headers=session)).status_code == 202
        await until(lambda: not alive(MARKER), "the command to be dead")
        await answer


async def test_a_command_in_the_background_comes_to_its_end(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    async with endpoint.http() as http:
        answer = await begin(http, endpoint.url, HELD, wait_seconds=0)
        (message,) = lines_of(await answer)
        assert message["result"]["structuredContent"]["status"] == "running"
        endpoint.stop.set()
        await closed(endpoint)
        go(sshd)
        await until(lambda: bool(endpoint.audit("command_end")), "the command to end")
        (line,) = endpoint.audit("command_end")
        assert line["exit_code"] == 0


async def test_a_token_that_is_revoked_meanwhile_loses_its_calls(endpoint: RunningEndpoint) -> None:
    async with endpoint.http() as http:
        answer = await begin(http, endpoint.url, f": {MARKER}; sleep 20; echo done")
        endpoint.stop.set()
        await closed(endpoint)
        endpoint.reconfigure(tokens=())
        await until(lambda: not alive(MARKER), "the command to be dead", seconds=5)
        assert "revoked" in (await answer).text


async def test_the_time_is_that_of_the_pod_and_not_of_its_successor(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LINGER_SECONDS", 0.2)
    async with running(sshd.sidecar_config(drain_timeout=1.0)) as endpoint, endpoint.http() as http:
        endpoint.reconfigure(drain_timeout=60.0)
        await endpoint.settled()
        answer = await begin(http, endpoint.url, f": {MARKER}; sleep 30; echo done")
        endpoint.stop.set()
        # Less than the command's own time.
        async with asyncio.timeout(25):
            assert "shutting down" in (await answer).text


async def test_the_operator_can_have_it_end_at_once(endpoint: RunningEndpoint) -> None:
    url = f"{endpoint.internal_url}/end"
    operator = endpoint.bearer(endpoint.probe)
    async with endpoint.http() as http:
        assert (await http.post(url, headers=operator)).status_code == 409, "it was not told to leave"
        answer = await begin(http, endpoint.url, f": {MARKER}; sleep 20; echo done")
        endpoint.stop.set()
        await closed(endpoint)
        async with endpoint.http() as late:
            assert (await late.post(url)).status_code == 401, "an agent's token"
            assert (await late.post(url, headers={"Authorization": ""})).status_code == 401
            assert not endpoint.sidecar.draining
            assert (await late.post(url, headers=operator)).status_code == 202
        assert "shutting down" in (await answer).text
        await until(lambda: not alive(MARKER), "the command to be dead")


async def test_what_takes_longer_than_there_is_time_for_is_killed(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "LINGER_SECONDS", 0.2)
    async with running(sshd.sidecar_config(drain_timeout=1.0)) as endpoint, endpoint.http() as http:
        answer = await begin(http, endpoint.url, f": {MARKER}; sleep 30; echo done")
        endpoint.stop.set()
        assert "shutting down" in (await answer).text
        await until(lambda: not alive(MARKER), "the command to be dead")


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_the_process_takes_its_time_unless_it_is_told_twice(sshd: Sshd, tmp_path: Path, *, again: bool) -> None:
    token, grant = Tokens().grant()
    config = sshd.sidecar_config(tokens=(grant,), endpoint=Endpoint(path=PATH), drain_timeout=20.0)
    async with sidecar(config, tmp_path) as pod, httpx.AsyncClient(timeout=30) as http:
        process = pod.process
        assert process is not None
        await until(pod.is_connected, "the link to be up")
        http.headers.update(ACCEPT | {"Authorization": f"Bearer {token}"})
        answer = await begin(http, pod.url, HELD)
        process.send_signal(signal.SIGTERM)
        await until(_not(pod.is_ready), "the process to be no longer ready")
        assert not answer.done()
        if again:
            process.send_signal(signal.SIGTERM)
        else:
            go(sshd)
        began = time.monotonic()
        text = (await answer).text
        assert await process.wait() == 0
        # The time for what was begun is not used up.
        assert time.monotonic() - began < 15
        assert ("shutting down" in text, "done" in text) == (again, not again)
        assert not alive(MARKER)


def _not(probe: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    async def negated() -> bool:
        return not await probe()

    return negated
