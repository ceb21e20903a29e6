"""What happens to streams, calls and sessions when a token, a client or the sidecar goes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from fairlead_sidecar.config import Permission
from tests.integration.app.endpoint import (
    INITIALIZE,
    RunningEndpoint,
    call,
    initialize,
    lines_of,
    modern_headers,
    processes,
    request,
    until,
)

LIMIT = 2.0
"""Seconds that revocation may take."""
LIFE = 4.0
"""Seconds until a token of these tests expires: as long as a slow machine needs to begin with it."""


class Stream:
    """An answer that is being read: its text so far, and whether it ended."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.text = ""
        self.ended = False


@contextlib.asynccontextmanager
async def reading(
    http: httpx.AsyncClient, method: str, url: str, *, json: object = None, headers: dict[str, str]
) -> AsyncIterator[Stream]:
    """Read an answer in the background."""
    stream = Stream()

    async def read() -> None:
        async with http.stream(method, url, json=json, headers=headers) as answer:
            stream.status = answer.status_code
            async for text in answer.aiter_text():
                stream.text += text
        stream.ended = True

    task = asyncio.create_task(read())
    try:
        yield stream
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def sleeper() -> tuple[str, str]:
    """A command that runs for long, and what its process can be found by."""
    marker = f"4{uuid4().int % 10**9:09}"
    return f"exec sleep {marker}", marker


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_revoked_token_loses_its_open_streams_and_its_running_command_dies(
    endpoint: RunningEndpoint, era: str
) -> None:
    token, grant = endpoint.keyring.grant()
    kept = endpoint.config.tokens
    endpoint.reconfigure(tokens=(*kept, grant))
    await endpoint.settled()
    command, marker = sleeper()
    async with endpoint.http(token) as http, contextlib.AsyncExitStack() as stack:
        message = call("execute_command", modern=era == "modern", command=command)
        streams = []
        if era == "modern":
            headers = modern_headers(message)
        else:
            headers = await initialize(http, endpoint.url)
            streams.append(await stack.enter_async_context(reading(http, "GET", endpoint.url, headers=headers)))
        streams.append(
            await stack.enter_async_context(reading(http, "POST", endpoint.url, json=message, headers=headers))
        )
        await until(lambda: len(processes(marker)) == 1, "the command to run")

        endpoint.reconfigure(tokens=kept)
        began = time.monotonic()
        await until(lambda: all(stream.ended for stream in streams), "the streams to end", seconds=LIMIT)
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
        assert time.monotonic() - began < LIMIT

        assert (await http.post(endpoint.url, json=INITIALIZE)).status_code == 401
    await until(lambda: endpoint.sidecar.sessions.count() == 0, "the session to end")
    await until(lambda: bool(endpoint.audit("call")), "the audit line")
    assert endpoint.audit("call")[-1]["outcome"] == "token_revoked"


async def test_an_expiring_token_loses_its_stream_without_any_reload(hostless: RunningEndpoint) -> None:
    expires = datetime.now(UTC) + timedelta(seconds=LIFE)
    token, grant = hostless.keyring.grant(expires_at=expires)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.http(token) as http:
        headers = await initialize(http, hostless.url)
        async with reading(http, "GET", hostless.url, headers=headers) as stream:
            await until(lambda: stream.status == 200, "the stream to open")
            await until(lambda: stream.ended, "the stream to end", seconds=LIFE + LIMIT)
            assert datetime.now(UTC) >= expires
        answer = await http.post(hostless.url, json=request("ping"), headers=headers)
    assert answer.status_code == 401
    await until(lambda: hostless.sidecar.sessions.count() == 0, "the session to end")


async def test_other_tokens_keep_their_streams_and_calls(endpoint: RunningEndpoint) -> None:
    _, doomed = endpoint.keyring.grant()
    kept = endpoint.config.tokens
    endpoint.reconfigure(tokens=(*kept, doomed))
    await endpoint.settled()
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        async with reading(http, "GET", endpoint.url, headers=headers) as stream:
            await until(lambda: stream.status == 200, "the stream to open")
            endpoint.reconfigure(tokens=kept, description="another")
            await endpoint.settled()
            answer = await http.post(endpoint.url, json=call("execute_command", command="echo on"), headers=headers)
            (message,) = lines_of(answer)
            assert message["result"]["structuredContent"]["stdout"] == "on\n"
            assert not stream.ended


async def test_a_call_dies_with_the_permission_it_needs(endpoint: RunningEndpoint) -> None:
    token, grant = endpoint.keyring.grant()
    kept = endpoint.config.tokens
    endpoint.reconfigure(tokens=(*kept, grant))
    await endpoint.settled()
    command, marker = sleeper()
    async with endpoint.http(token) as http:
        headers = await initialize(http, endpoint.url)
        message = call("execute_command", command=command)
        async with reading(http, "POST", endpoint.url, json=message, headers=headers) as stream:
            await until(lambda: len(processes(marker)) == 1, "the command to run")
            less = grant.model_copy(update={"permissions": frozenset({Permission.VIEW})})
            endpoint.reconfigure(tokens=(*kept, less))
            await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
            await until(lambda: stream.ended, "the answer")
        assert "permission_denied" in stream.text
        assert "lost the permission Execute" in stream.text
        assert endpoint.audit("call")[-1]["outcome"] == "permission_denied"
        assert (await http.post(endpoint.url, json=request("ping"), headers=headers)).status_code == 200


async def test_a_modern_client_that_hangs_up_kills_its_command(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    message = call("execute_command", modern=True, command=command)
    async with endpoint.http() as http:
        async with reading(http, "POST", endpoint.url, json=message, headers=modern_headers(message)):
            await until(lambda: len(processes(marker)) == 1, "the command to run")
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
    await until(lambda: bool(endpoint.audit("call")), "the audit line")
    assert endpoint.audit("call")[-1]["outcome"] == "cancelled"


async def test_a_handshake_client_that_hangs_up_leaves_its_command_running_until_it_cancels(
    endpoint: RunningEndpoint,
) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        message = call("execute_command", command=command)
        async with reading(http, "POST", endpoint.url, json=message, headers=headers):
            await until(lambda: len(processes(marker)) == 1, "the command to run")
        assert len(processes(marker)) == 1
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": message["id"]}}
        assert (await http.post(endpoint.url, json=cancelled, headers=headers)).status_code == 202
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)


async def test_ending_a_session_kills_its_commands(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        message = call("execute_command", command=command)
        async with reading(http, "POST", endpoint.url, json=message, headers=headers):
            await until(lambda: len(processes(marker)) == 1, "the command to run")
            assert (await http.delete(endpoint.url, headers=headers)).status_code == 200
            await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
        assert (await http.post(endpoint.url, json=request("ping"), headers=headers)).status_code == 404
    await until(lambda: endpoint.sidecar.sessions.count() == 0, "the session to end")


async def test_shutting_down_kills_commands_ends_streams_and_is_quick(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http, contextlib.AsyncExitStack() as stack:
        headers = await initialize(http, endpoint.url)
        modern = call("execute_command", modern=True, command=command)
        message = call("execute_command", command=command)
        streams = [
            await stack.enter_async_context(reading(http, "GET", endpoint.url, headers=headers)),
            await stack.enter_async_context(reading(http, "POST", endpoint.url, json=message, headers=headers)),
            await stack.enter_async_context(
                reading(http, "POST", endpoint.url, json=modern, headers=modern_headers(modern))
            ),
        ]
        await until(lambda: len(processes(marker)) == 2, "both commands to run")
        endpoint.stop.set()
        await until(lambda: all(stream.ended for stream in streams), "the streams to end", seconds=5)
        await until(lambda: not processes(marker), "the commands to die", seconds=5)
        assert "shutting down" in streams[1].text
        assert "shutting down" in streams[2].text
        await until(lambda: _refuses(endpoint), "new connections to be refused", seconds=5)


async def _refuses(endpoint: RunningEndpoint) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            await http.get(endpoint.url)
    except httpx.ConnectError:
        return True
    return False
