"""How much of request bodies a sidecar holds, and for how long."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from fairlead_sidecar.access import body, budget
from fairlead_sidecar.config import Permission
from tests.integration.app.endpoint import (
    INITIALIZE,
    PATH,
    RunningEndpoint,
    call,
    held,
    initialize,
    modern_headers,
    request,
    until,
)
from tests.integration.sshd import PATIENCE_SECONDS

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def begun(endpoint: RunningEndpoint, token: str, sent: int, declared: int) -> AsyncIterator[Stream]:
    """A request of which `sent` bytes of the body were sent and the rest is not."""
    reader, writer = await asyncio.open_connection(*endpoint.public.getsockname())
    writer.write(
        f"POST {PATH}/mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {declared}\r\n\r\n".encode()
        + b" " * sent
    )
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()


async def head_of(stream: Stream) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await stream[0].readuntil(b"\r\n\r\n")).decode()


async def token_with(endpoint: RunningEndpoint, *permissions: Permission) -> str:
    token, grant = endpoint.keyring.grant(*permissions)
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    return token


@contextlib.asynccontextmanager
async def greedy(endpoint: RunningEndpoint, token: str) -> AsyncIterator[None]:
    """A token that takes all the room it can get."""
    async with contextlib.AsyncExitStack() as stack:
        before, count = held(endpoint), budget.OWNER_BYTES // body.MAX_BYTES
        for _ in range(count):
            await stack.enter_async_context(begun(endpoint, token, body.MAX_BYTES - 10, body.MAX_BYTES))
        each = body.MAX_BYTES - 10 - budget.FREE_BYTES
        await until(lambda: held(endpoint) == before + count * each, "the bodies to arrive")
        yield


async def test_one_token_can_not_take_the_room_of_the_others(hostless: RunningEndpoint) -> None:
    token = await token_with(hostless, Permission.WRITE)
    large = call("connection_status", modern=True, x="x" * 3_000_000)
    async with hostless.http(token) as http, hostless.http(hostless.probe) as probe, hostless.http() as other:
        async with greedy(hostless, token):
            answer = await http.post(hostless.url, json=large, headers=modern_headers(large))
            assert (answer.status_code, answer.json()["error"]) == (503, "too_busy")
            assert int(answer.headers["retry-after"]) > 0
            assert hostless.audit("denial")[-1]["outcome"] == "too_many_bytes"
            # Small messages always pass, and so does what others send.
            for client in (http, probe, other):
                assert (await client.post(hostless.url, json=INITIALIZE)).status_code == 200
            answer = await other.post(hostless.url, json=large, headers=modern_headers(large))
            assert answer.status_code == 200
        await until(lambda: held(hostless) == 0, "the room to be given back")
        assert (await http.post(hostless.url, content=b" " * 3_000_000)).status_code == 400


async def test_all_tokens_together_can_not_take_more_than_there_is(hostless: RunningEndpoint) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(budget.TOTAL_BYTES // budget.OWNER_BYTES):
            token = await token_with(hostless, Permission.WRITE)
            await stack.enter_async_context(greedy(hostless, token))
        async with hostless.http() as http:
            assert (await http.post(hostless.url, content=b" " * 3_000_000)).status_code == 503


async def test_chunks_without_a_declared_length_count_as_well(hostless: RunningEndpoint) -> None:
    token = await token_with(hostless, Permission.WRITE)
    async with greedy(hostless, token):
        reader, writer = await asyncio.open_connection(*hostless.public.getsockname())
        writer.write(
            f"POST {PATH}/mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            f"{100_000:x}\r\n".encode()
            + b" " * 100_000
        )
        assert (await head_of((reader, writer))).startswith("HTTP/1.1 503 ")
        writer.close()


async def test_only_who_may_write_files_may_send_large_bodies(hostless: RunningEndpoint) -> None:
    reader = await token_with(hostless, Permission.VIEW, Permission.READ, Permission.EXECUTE)
    async with hostless.http(reader) as http:
        session = await initialize(http, hostless.url)
        # The longest command line fits, even in the JSON that escapes all of it.
        longest = call("execute_command", command="\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 64 * 1024)
        assert len(json.dumps(longest)) > 384 * 1024
        answer = await http.post(hostless.url, content=json.dumps(longest), headers=session)
        assert answer.status_code == 200
        answer = await http.post(hostless.url, content=b" " * (body.MAX_BYTES_WITHOUT_WRITE + 1), headers=session)
        assert (answer.status_code, answer.json()["error"]) == (413, "content_too_large")
        assert "lacks Write" in answer.json()["message"]


async def test_a_body_that_never_ends_is_given_up(hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "SECONDS", 0.3)
    async with begun(hostless, hostless.token, 10, 1000) as stream:
        assert (await head_of(stream)).startswith("HTTP/1.1 408 ")
    await until(lambda: bool(hostless.audit("denial")), "the audit line")
    assert hostless.audit("denial")[-1]["outcome"] == "request_timeout"


async def test_a_body_where_none_belongs_is_not_kept(hostless: RunningEndpoint) -> None:
    """Nothing but POST has one; what else comes with one is answered as if it had none."""
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        reader, writer = await asyncio.open_connection(*hostless.public.getsockname())
        names = hostless.bearer() | session | {"Host": "x", "Accept": "text/event-stream", "Content-Length": "200000"}
        head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
        writer.write(f"GET {PATH}/mcp HTTP/1.1\r\n{head}\r\n".encode() + b" " * 100_000)
        assert (await head_of((reader, writer))).startswith("HTTP/1.1 200 ")
        writer.close()
        assert (await http.post(hostless.url, json=request("ping"), headers=session)).status_code == 200
