"""Where tokens may be used from, through the app: requests, and all that outlives them."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fairlead_sidecar.config import Endpoint, SidecarConfig, TokenGrant
from tests.integration.app.endpoint import (
    INITIALIZE,
    PATH,
    RunningEndpoint,
    call,
    initialize,
    lines_of,
    modern_headers,
    processes,
    request,
    running,
    until,
)
from tests.integration.app.streams import events, sleeper
from tests.integration.sshd import Sshd

LIMIT = 2.0
"""Seconds that losing an address may take."""
OFFICE, HOME, ELSEWHERE = "192.0.2.7", "198.51.100.7", "203.0.113.7"
BOTH, ONLY_HOME = ("192.0.2.0/24", "198.51.100.7"), ("198.51.100.7",)
BEHIND_PROXY = Endpoint(path=PATH, trusted_proxies=("127.0.0.0/8",))


@pytest.fixture
async def proxied(sshd: Sshd) -> AsyncIterator[RunningEndpoint]:
    """A sidecar that believes what this machine says about where requests come from."""
    async with running(sshd.sidecar_config(endpoint=BEHIND_PROXY)) as endpoint:
        yield endpoint


@pytest.fixture
async def hostless_proxied(unreachable: SidecarConfig) -> AsyncIterator[RunningEndpoint]:
    config = unreachable.model_copy(update={"endpoint": BEHIND_PROXY})
    async with running(config, connected=False) as endpoint:
        yield endpoint


async def bound(endpoint: RunningEndpoint, *cidrs: str) -> tuple[str, TokenGrant]:
    token, grant = endpoint.keyring.grant(subject="traveller")
    await move(endpoint, grant, *cidrs)
    return token, grant


async def move(endpoint: RunningEndpoint, grant: TokenGrant, *cidrs: str) -> None:
    """Let the token be used from these networks only."""
    others = tuple(other for other in endpoint.config.tokens if other.id != grant.id)
    endpoint.reconfigure(tokens=(*others, grant.model_copy(update={"source_cidrs": cidrs})))
    await endpoint.settled()


def at(endpoint: RunningEndpoint, token: str, address: str) -> httpx.AsyncClient:
    http = endpoint.http(token)
    http.headers["X-Forwarded-For"] = address
    return http


def denials(endpoint: RunningEndpoint) -> list[dict[str, Any]]:
    return [line for line in endpoint.audit("denial") if line["outcome"] == "address_not_allowed"]


async def test_a_token_is_refused_from_another_network_with_a_code_of_its_own(
    hostless_proxied: RunningEndpoint,
) -> None:
    token, grant = await bound(hostless_proxied, *BOTH)
    async with at(hostless_proxied, token, OFFICE) as good, at(hostless_proxied, token, ELSEWHERE) as bad:
        assert (await good.post(hostless_proxied.url, json=INITIALIZE)).status_code == 200
        refused = await bad.post(hostless_proxied.url, json=INITIALIZE)
    assert (refused.status_code, refused.json()["error"]) == (403, "address_not_allowed")
    assert ELSEWHERE in refused.json()["message"]
    assert "www-authenticate" not in refused.headers  # another token is not what is wanted
    (line,) = denials(hostless_proxied)
    assert (line["subject"], line["token_id"], line["decision"]) == ("traveller", grant.id, "deny")
    assert (line["address"], line["client_address"], line["forwarded_for"]) == ("127.0.0.1", ELSEWHERE, ELSEWHERE)
    registry = hostless_proxied.sidecar.metrics.registry
    assert registry.get_sample_value("fairlead_denied_total", {"reason": "address_not_allowed"}) == 1


async def test_what_an_untrusted_peer_says_about_its_address_is_not_believed(hostless: RunningEndpoint) -> None:
    token, grant = await bound(hostless, OFFICE)
    async with at(hostless, token, OFFICE) as http:
        refused = await http.post(hostless.url, json=INITIALIZE)
        assert (refused.status_code, refused.json()["error"]) == (403, "address_not_allowed")
        assert "127.0.0.1" in refused.json()["message"]
        assert "client_address" not in denials(hostless)[0]
        await move(hostless, grant, "127.0.0.0/8")
        assert (await http.post(hostless.url, json=INITIALIZE)).status_code == 200


@pytest.mark.parametrize("forwarded", ["garbage", "", f"{OFFICE}, garbage"])
async def test_an_address_that_is_not_known_is_in_no_network(hostless_proxied: RunningEndpoint, forwarded: str) -> None:
    token, _ = await bound(hostless_proxied, *BOTH)
    async with at(hostless_proxied, token, forwarded) as http:
        assert (await http.post(hostless_proxied.url, json=INITIALIZE)).status_code == 403


async def test_the_operators_probe_is_bound_to_no_network(hostless_proxied: RunningEndpoint) -> None:
    async with at(hostless_proxied, hostless_proxied.probe, "garbage") as http:
        assert (await http.post(hostless_proxied.url, json=INITIALIZE)).status_code == 200


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_who_loses_an_address_loses_streams_and_commands_from_there_and_no_others(
    proxied: RunningEndpoint, era: str
) -> None:
    token, grant = await bound(proxied, *BOTH)
    (doomed, lost), (going_on, kept) = sleeper(), sleeper()
    async with at(proxied, token, OFFICE) as office, at(proxied, token, HOME) as home:
        messages = [call("execute_command", modern=era == "modern", command=line) for line in (doomed, going_on)]
        if era == "modern":
            headers = [modern_headers(message) for message in messages]
        else:
            headers = [await initialize(http, proxied.url) for http in (office, home)]
        async with (
            events(office, "POST", proxied.url, headers[0], messages[0]) as cut,
            events(home, "POST", proxied.url, headers[1], messages[1]) as other,
        ):
            await until(lambda: all(len(processes(mark)) == 1 for mark in (lost, kept)), "the commands to run")
            began = time.monotonic()
            await move(proxied, grant, *ONLY_HOME)
            await until(lambda: cut.ended and not processes(lost), "the stream to end and the command to die")
            assert time.monotonic() - began < LIMIT
            assert len(processes(kept)) == 1
            assert not other.ended
            assert (await office.post(proxied.url, json=INITIALIZE)).status_code == 403
    assert "address_not_allowed" in {line["outcome"] for line in proxied.audit("call")}


async def test_a_waiting_stream_ends_and_so_does_its_session(hostless_proxied: RunningEndpoint) -> None:
    token, grant = await bound(hostless_proxied, *BOTH)
    async with at(hostless_proxied, token, OFFICE) as office, at(hostless_proxied, token, HOME) as home:
        session = await initialize(office, hostless_proxied.url)
        async with events(office, "GET", hostless_proxied.url, session) as stream:
            await until(lambda: stream.status == 200, "the stream to open")
            await move(hostless_proxied, grant, *ONLY_HOME)
            await until(lambda: stream.ended, "the stream to end", seconds=LIMIT)
        await until(lambda: hostless_proxied.sidecar.sessions.count() == 0, "the session to end", seconds=LIMIT)
        gone = await home.post(hostless_proxied.url, json=request("ping"), headers=session)
        assert gone.status_code == 404
    assert len(denials(hostless_proxied)) == 1


async def test_a_session_goes_with_its_client_to_another_network(hostless_proxied: RunningEndpoint) -> None:
    token, grant = await bound(hostless_proxied, *BOTH)
    async with at(hostless_proxied, token, OFFICE) as office, at(hostless_proxied, token, HOME) as home:
        session = await initialize(office, hostless_proxied.url)
        assert (await home.post(hostless_proxied.url, json=request("ping"), headers=session)).status_code == 200
        await move(hostless_proxied, grant, *ONLY_HOME)
        assert (await office.post(hostless_proxied.url, json=request("ping"), headers=session)).status_code == 403
        assert (await home.post(hostless_proxied.url, json=request("ping"), headers=session)).status_code == 200


async def test_whoever_tries_the_session_of_another_token_does_not_move_it(hostless_proxied: RunningEndpoint) -> None:
    token, _ = await bound(hostless_proxied, *BOTH)
    stranger, grant = hostless_proxied.keyring.grant()
    hostless_proxied.reconfigure(tokens=(*hostless_proxied.config.tokens, grant))
    await hostless_proxied.settled()
    async with at(hostless_proxied, token, OFFICE) as office, at(hostless_proxied, stranger, ELSEWHERE) as other:
        session = await initialize(office, hostless_proxied.url)
        assert (await other.post(hostless_proxied.url, json=request("ping"), headers=session)).status_code == 404
        await move(hostless_proxied, grant, *ONLY_HOME)
        assert (await office.post(hostless_proxied.url, json=request("ping"), headers=session)).status_code == 200


async def test_a_command_in_the_background_dies_with_the_address_that_it_was_begun_from(
    proxied: RunningEndpoint,
) -> None:
    token, grant = await bound(proxied, *BOTH)
    command, mark = sleeper()
    async with at(proxied, token, OFFICE) as office, at(proxied, token, HOME) as home:
        session = await initialize(home, proxied.url)
        begun = await office.post(
            proxied.url, json=call("execute_command", command=command, wait_seconds=0), headers=session
        )
        (answer,) = lines_of(begun)
        asks = call("command_output", command_id=answer["result"]["structuredContent"]["command_id"], wait_seconds=20)
        await until(lambda: len(processes(mark)) == 1, "the command to run")
        await home.post(proxied.url, json=request("ping"), headers=session)
        await move(proxied, grant, *ONLY_HOME)
        await until(lambda: not processes(mark), "the command to die", seconds=LIMIT)
        (answer,) = lines_of(await home.post(proxied.url, json=asks, headers=session))
        assert answer["result"]["structuredContent"]["stopped"] == "cancelled"


async def test_a_session_over_sse_ends_and_a_message_from_elsewhere_is_refused(
    hostless_proxied: RunningEndpoint,
) -> None:
    token, grant = await bound(hostless_proxied, *BOTH)
    url = f"{hostless_proxied.origin}{PATH}/sse"
    async with (
        at(hostless_proxied, token, OFFICE) as office,
        at(hostless_proxied, token, ELSEWHERE) as bad,
        events(office, "GET", url, {}) as stream,
    ):
        await until(lambda: bool(stream.other), "the endpoint event")
        messages = hostless_proxied.origin + stream.other[0]
        assert (await office.post(messages, json=INITIALIZE)).status_code == 202
        assert (await bad.post(messages, json=request("ping"))).status_code == 403
        await move(hostless_proxied, grant, *ONLY_HOME)
        await until(lambda: stream.ended, "the stream to end", seconds=LIMIT)
    await until(lambda: hostless_proxied.sidecar.sessions.count() == 0, "the session to end", seconds=LIMIT)


async def test_a_request_whose_body_is_still_to_come_is_refused_where_its_address_is_lost(
    hostless_proxied: RunningEndpoint,
) -> None:
    token, grant = await bound(hostless_proxied, *BOTH)

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await move(hostless_proxied, grant, *ONLY_HOME)
        await until(lambda: bool(denials(hostless_proxied)), "the denial")

    async with at(hostless_proxied, token, OFFICE) as http:
        refused = await http.post(hostless_proxied.url, content=body())
    assert (refused.status_code, refused.json()["error"]) == (403, "address_not_allowed")
