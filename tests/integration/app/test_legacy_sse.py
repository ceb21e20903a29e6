"""HTTP+SSE of protocol version 2024-11-05, behind the same gate as everything else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client

from fairlead_sidecar.access import legacy, sessions
from fairlead_sidecar.access.body import MAX_BYTES_WITHOUT_WRITE
from fairlead_sidecar.config import Endpoint, Permission
from tests.integration.app.endpoint import INITIALIZE, PATH, RunningEndpoint, call, processes, request, until
from tests.integration.app.streams import Events, events, sleeper

LIMIT = 2.0


def sse_url(endpoint: RunningEndpoint) -> str:
    return f"{endpoint.origin}{PATH}/sse"


@contextlib.asynccontextmanager
async def sdk_client(endpoint: RunningEndpoint, token: str | None = None) -> AsyncIterator[ClientSession]:
    """The SDK's own client of this transport."""
    async with (
        sse_client(sse_url(endpoint), headers=endpoint.bearer(token)) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


@contextlib.asynccontextmanager
async def opened(endpoint: RunningEndpoint, http: httpx.AsyncClient) -> AsyncIterator[tuple[Events, str]]:
    """A session by hand: its stream, and the URL that takes messages."""
    async with events(http, "GET", sse_url(endpoint), {}) as stream:
        await until(lambda: bool(stream.other) or stream.ended, "the endpoint event")
        assert stream.status == 200, stream.status
        yield stream, endpoint.origin + stream.other[0]


async def handshake(http: httpx.AsyncClient, stream: Events, url: str) -> None:
    message = INITIALIZE | {"params": INITIALIZE["params"] | {"protocolVersion": "2024-11-05"}}
    assert (await http.post(url, json=message)).status_code == 202
    await until(lambda: len(stream.answers) == 1, "the answer to initialize")
    assert stream.answers[0]["result"]["protocolVersion"] == "2024-11-05"
    await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})


async def other_token(endpoint: RunningEndpoint, *permissions: Permission, subject: str = "other") -> str:
    token, grant = endpoint.keyring.grant(*permissions, subject=subject)
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    return token


async def test_the_sdks_client_lists_and_calls_tools(endpoint: RunningEndpoint) -> None:
    async with sdk_client(endpoint) as client:
        assert "execute_command" in [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("execute_command", {"command": "echo over sse"})
        assert result.structured_content is not None
        assert result.structured_content["stdout"] == "over sse\n"
        assert endpoint.sidecar.sessions.count() == 1
    await until(lambda: endpoint.sidecar.sessions.count() == 0, "the session to end")
    (line,) = endpoint.audit("call")
    assert (line["tool"], line["subject"], line["outcome"]) == ("execute_command", "agent", "ok")


async def test_messages_go_to_a_path_below_the_endpoints(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http, opened(hostless, http) as (_, url):
        assert url.startswith(f"{hostless.origin}{PATH}/messages?session_id=")


async def test_messages_go_below_the_public_path_where_something_in_front_changes_it(hostless: RunningEndpoint) -> None:
    hostless.reconfigure(endpoint=Endpoint(path=PATH, public_url="https://mcp.example.com/deep/er/mcp"))
    await hostless.settled()
    async with hostless.http() as http:
        for host, prefix in (("mcp.example.com", "/deep/er"), ("10.1.2.3:8080", PATH)):
            async with events(http, "GET", sse_url(hostless), {"Host": host}) as stream:
                await until(lambda stream=stream: bool(stream.other), "the endpoint event")  # type: ignore[misc]  # mypy can't infer lambdas with defaults
                assert stream.other[0].startswith(f"{prefix}/messages?session_id=")


async def test_a_client_that_goes_takes_its_commands_with_it(endpoint: RunningEndpoint) -> None:
    """At once: this protocol has no way to come back for the answer."""
    command, marker = sleeper()
    async with endpoint.http() as http:
        async with opened(endpoint, http) as (stream, url):
            await handshake(http, stream, url)
            assert (await http.post(url, json=call("execute_command", command=command))).status_code == 202
            await until(lambda: len(processes(marker)) == 1, "the command to run")
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
        await until(lambda: bool(endpoint.audit("call")), "the audit line")
        assert endpoint.audit("call")[-1]["outcome"] == "cancelled"
        assert (await http.post(url, json=request("ping"))).status_code == 404


async def test_cancelling_kills_the_command(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http, opened(endpoint, http) as (stream, url):
        await handshake(http, stream, url)
        await http.post(url, json=call("execute_command", command=command))
        await until(lambda: len(processes(marker)) == 1, "the command to run")
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert (await http.post(url, json=cancelled)).status_code == 202
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
        assert not stream.ended


async def test_revoking_the_token_cuts_stream_and_command(endpoint: RunningEndpoint) -> None:
    kept = endpoint.config.tokens
    token = await other_token(endpoint)
    command, marker = sleeper()
    async with endpoint.http(token) as http, opened(endpoint, http) as (stream, url):
        await handshake(http, stream, url)
        await http.post(url, json=call("execute_command", command=command))
        await until(lambda: len(processes(marker)) == 1, "the command to run")
        began = time.monotonic()
        endpoint.reconfigure(tokens=kept)
        await until(lambda: stream.ended and not processes(marker), "stream and command to end", seconds=LIMIT)
        assert time.monotonic() - began < LIMIT
        assert (await http.post(url, json=request("ping"))).status_code == 401
    await until(lambda: endpoint.sidecar.sessions.count() == 0, "the session to end")
    await until(lambda: bool(endpoint.audit("call")), "the audit line")
    assert endpoint.audit("call")[-1]["outcome"] == "token_revoked"


async def test_another_token_cannot_speak_in_the_session(hostless: RunningEndpoint) -> None:
    thief = await other_token(hostless, subject="thief")
    async with hostless.http() as http, hostless.http(thief) as other, opened(hostless, http) as (stream, url):
        answer = await other.post(url, json=INITIALIZE)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
        await handshake(http, stream, url)
        assert len(stream.answers) == 1
    (line,) = hostless.audit("denial")
    assert (line["subject"], line["outcome"]) == ("thief", "foreign_session")


async def test_a_token_of_the_same_owner_can(hostless: RunningEndpoint) -> None:
    """As after a rotation."""
    token, grant = hostless.keyring.grant(uid=hostless.config.tokens[0].uid)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.http() as http, hostless.http(token) as rotated, opened(hostless, http) as (stream, url):
        await handshake(rotated, stream, url)


async def test_a_session_goes_on_when_its_token_was_rotated_away_and_ends_with_its_owner(
    hostless: RunningEndpoint,
) -> None:
    kept = hostless.config.tokens
    (former, old), (token, new) = (hostless.keyring.grant(uid="rotated") for _ in range(2))
    hostless.reconfigure(tokens=(*kept, old, new))
    await hostless.settled()
    async with hostless.http(former) as http, hostless.http(token) as rotated, opened(hostless, http) as (stream, url):
        await handshake(http, stream, url)
        hostless.reconfigure(tokens=(*kept, new))
        await hostless.settled()
        assert (await http.post(url, json=request("ping"))).status_code == 401
        assert (await rotated.post(url, json=request("ping"))).status_code == 202
        assert not stream.ended

        hostless.reconfigure(tokens=kept)
        await until(lambda: stream.ended, "the stream to end", seconds=LIMIT)
        async with hostless.http() as other:

            async def is_gone() -> bool:
                return (await other.post(url, json=request("ping"))).status_code == 404

            await until(is_gone, "the session to end", seconds=LIMIT)


@pytest.mark.parametrize("session", ["", "x", "0" * 32, "0" * 5000, "%0a"])
async def test_a_session_nobody_knows_is_refused(hostless: RunningEndpoint, session: str) -> None:
    async with hostless.http() as http:
        answer = await http.post(f"{hostless.origin}{PATH}/messages?session_id={session}", json=request("ping"))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert hostless.audit("denial")[-1]["outcome"] == "unknown_session"


async def test_a_message_that_is_none_is_refused_and_never_logged(
    hostless: RunningEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    async with hostless.http() as http, opened(hostless, http) as (stream, url):
        answer = await http.post(url, content=b'{"password": "hunter2"}')
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
        await handshake(http, stream, url)
    assert "hunter2" not in caplog.text


async def test_permissions_and_body_limits_hold_here_too(hostless: RunningEndpoint) -> None:
    token = await other_token(hostless, Permission.VIEW)
    async with hostless.http(token) as http, opened(hostless, http) as (stream, url):
        await handshake(http, stream, url)
        refused = await http.post(url, json=call("execute_command", command="id"))
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        large = await http.post(url, content=b" " * (MAX_BYTES_WITHOUT_WRITE + 1))
        assert large.status_code == 413
        assert (await http.post(url, content=b"{}", headers={"Content-Type": "text/plain"})).status_code == 415


@pytest.mark.parametrize(("method", "path"), [("GET", "/sse"), ("POST", "/messages")])
async def test_nothing_is_open_without_a_token(hostless: RunningEndpoint, method: str, path: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.request(method, f"{hostless.origin}{PATH}{path}", json={})
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


async def test_the_probe_cannot_open_a_stream(hostless: RunningEndpoint) -> None:
    async with hostless.http(hostless.probe) as http:
        assert (await http.get(sse_url(hostless))).status_code == 403


async def test_a_foreign_host_name_is_refused(hostless: RunningEndpoint) -> None:
    hostless.reconfigure(endpoint=Endpoint(path=PATH, allowed_hosts=("mcp.example.com",)))
    await hostless.settled()
    async with hostless.http() as http:
        assert (await http.get(sse_url(hostless), headers={"Host": "evil.example.com"})).status_code == 421


async def test_these_sessions_count_as_the_others_do(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_OF_OWNER", 2)
    async with hostless.http() as http, opened(hostless, http), opened(hostless, http):
        answer = await http.get(sse_url(hostless))
        assert (answer.status_code, answer.json()["error"]) == (503, "too_many_sessions")
        assert (await http.post(hostless.url, json=INITIALIZE)).status_code == 503
    await until(lambda: hostless.sidecar.sessions.count() == 0, "the sessions to end")
    assert not hostless.sidecar.sessions._streaming
    async with hostless.http() as http:
        assert (await http.post(hostless.url, json=INITIALIZE)).status_code == 200


async def test_shutting_down_ends_streams_and_commands(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http, opened(endpoint, http) as (stream, url):
        await handshake(http, stream, url)
        await http.post(url, json=call("execute_command", command=command))
        await until(lambda: len(processes(marker)) == 1, "the command to run")
        endpoint.stop.set()
        await until(lambda: stream.ended and not processes(marker), "stream and command to end", seconds=5)


async def test_many_calls_at_once_are_all_answered(endpoint: RunningEndpoint) -> None:
    async with sdk_client(endpoint) as client:

        async def one(number: int) -> Any:
            result = await client.call_tool("execute_command", {"command": f"echo {number}"})
            return (result.structured_content or {}).get("stdout")

        assert await asyncio.gather(*(one(number) for number in range(8))) == [f"{n}\n" for n in range(8)]


async def test_answers_do_not_pile_up_for_a_client_that_reads_none(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "UNREAD_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection(*hostless.public.getsockname()[:2], limit=1000)
    head = f"GET {PATH}/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hostless.token}\r\n\r\n"
    writer.write(head.encode())
    session = (await reader.readuntil(b"session_id=") and await reader.readexactly(32)).decode()
    # Nothing is read any more: the stream's own buffer is full at once.
    url = f"{hostless.origin}{PATH}/messages?session_id={session}"
    accepted, status = 0, 202
    async with hostless.http() as http:
        assert (await http.post(url, json=INITIALIZE)).status_code == 202
        while status == 202 and accepted < 3000:
            status = (await http.post(url, json=request("tools/list"))).status_code
            accepted += status == 202
    assert status == 503
    assert hostless.audit("denial")[-1]["outcome"] == "unread_answers"
    assert len(asyncio.all_tasks()) < 100
    writer.close()
    await until(lambda: hostless.sidecar.sessions.count() == 0, "the session to end")
