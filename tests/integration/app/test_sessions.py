"""How many sessions of the handshake protocols there may be."""

import asyncio
import contextlib

import httpx
import pytest

from fairlead_sidecar.access import sessions
from fairlead_sidecar.config import Permission
from tests.integration.app.endpoint import INITIALIZE, RunningEndpoint, initialize, request, until


async def viewer(endpoint: RunningEndpoint) -> str:
    token, grant = endpoint.keyring.grant(Permission.VIEW)
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    return token


async def opens(endpoint: RunningEndpoint, token: str) -> httpx.Response:
    async with endpoint.http(token) as http:
        return await http.post(endpoint.url, json=INITIALIZE)


def evicted(endpoint: RunningEndpoint) -> float | None:
    return endpoint.sidecar.metrics.registry.get_sample_value("fairlead_sessions_evicted_total")


async def test_a_token_that_opens_too_many_sessions_loses_its_own_idle_ones(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_OF_OWNER", 3)
    token = await viewer(hostless)
    async with hostless.http(token) as http, hostless.http() as other:
        mine = await initialize(other, hostless.url)
        opened = [await initialize(http, hostless.url) for _ in range(3)]
        assert (await http.post(hostless.url, json=request("ping"), headers=opened[0])).status_code == 200
        opened.append(await initialize(http, hostless.url))
        statuses = [
            (await http.post(hostless.url, json=request("ping"), headers=session)).status_code for session in opened
        ]
        assert statuses == [200, 404, 200, 200]
        assert (await other.post(hostless.url, json=request("ping"), headers=mine)).status_code == 200
    assert evicted(hostless) == 1


async def test_sessions_in_use_are_not_evicted(hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_OF_OWNER", 2)
    token = await viewer(hostless)
    async with hostless.http(token) as http, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            session = await initialize(http, hostless.url)
            await stack.enter_async_context(http.stream("GET", hostless.url, headers=session))
        refused = await opens(hostless, token)
        assert (refused.status_code, refused.json()["error"]) == (503, "too_many_sessions")
        assert "2 sessions" in refused.json()["message"]
        assert hostless.audit("denial")[-1]["outcome"] == "too_many_sessions"
        assert (await opens(hostless, hostless.token)).status_code == 200


async def test_sessions_that_are_opened_at_the_same_time_count_as_well(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_OF_OWNER", 5)
    token = await viewer(hostless)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(40):
            tasks.create_task(opens(hostless, token))
    assert hostless.sidecar.sessions.count() <= 5


async def test_the_probe_finds_a_place_when_agents_took_them_all(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    for _ in range(2):
        assert (await opens(hostless, await viewer(hostless))).status_code == 200
    assert (await opens(hostless, hostless.token)).status_code == 503
    assert (await opens(hostless, hostless.probe)).status_code == 200


async def test_what_opens_no_session_leaves_no_trace(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http:
        assert (await http.post(hostless.url, json=request("ping"))).status_code == 400
    await until(lambda: hostless.sidecar.sessions.count() == 0, "the session to be gone")
    assert not hostless.sidecar.sessions._opening
