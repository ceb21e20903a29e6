"""How long and how many connections may stay that ask for nothing."""

import asyncio
import contextlib

import pytest

from fairlead_sidecar import http1
from tests.integration.app.endpoint import INITIALIZE, PATH, RunningEndpoint, until
from tests.integration.sshd import PATIENCE_SECONDS

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
STRANGER = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def opened(endpoint: RunningEndpoint, data: bytes) -> Stream:
    reader, writer = await asyncio.open_connection(*endpoint.public.getsockname())
    writer.write(data)
    return reader, writer


async def answered(stream: Stream) -> str:
    """The next answer's head; its body is taken as well."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = (await stream[0].readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
        await stream[0].readexactly(int(length.partition(":")[2]))
    return head


async def is_closed(stream: Stream, seconds: float = PATIENCE_SECONDS) -> bool:
    with contextlib.suppress(ConnectionError):
        try:
            async with asyncio.timeout(seconds):
                return await stream[0].read() == b""
        except TimeoutError:
            return False
        finally:
            stream[1].close()
    return True


@pytest.mark.parametrize("begun", [b"G", b"\r\n", STRANGER[:-2]])
async def test_a_later_request_that_never_gets_complete_is_given_up(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(http1, "HEAD_SECONDS", 0.3)
    stream = await opened(hostless, STRANGER)
    assert " 401 " in await answered(stream)
    stream[1].write(begun)
    assert await is_closed(stream)


async def test_a_head_right_behind_another_request_is_given_up_too(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "HEAD_SECONDS", 0.3)
    stream = await opened(hostless, STRANGER + b"G")
    assert " 401 " in await answered(stream)
    assert await is_closed(stream)


async def test_a_body_that_was_answered_unread_is_not_waited_for(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "LINGER_SECONDS", 0.3)
    stream = await opened(hostless, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc")
    assert " 401 " in await answered(stream)
    stream[1].write(b"x")
    assert await is_closed(stream)


async def test_after_an_unread_body_the_connection_can_be_used_on(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "HEAD_SECONDS", 0.5)
    stream = await opened(hostless, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
    assert " 401 " in await answered(stream)
    stream[1].write(b"abc" + STRANGER)
    assert " 401 " in await answered(stream)
    # Once more, and then nothing: it is not kept for ever.
    stream[1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
    assert " 401 " in await answered(stream)
    stream[1].write(b"abc")
    assert await is_closed(stream)


async def test_a_new_connection_takes_the_place_of_the_one_that_is_idle_for_longest(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "MAX_CONNECTIONS", 3)
    streams = []
    for _ in range(3):
        streams.append(await opened(hostless, STRANGER))
        assert " 401 " in await answered(streams[-1])
    async with hostless.http() as http:
        assert (await http.post(hostless.url, json=INITIALIZE)).status_code == 200
    assert await is_closed(streams[0])
    streams[2][1].write(STRANGER)
    assert " 401 " in await answered(streams[2])
    for _, writer in streams:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_connections_beyond_the_limit_are_refused_when_all_are_busy(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "MAX_CONNECTIONS", 2)
    head = (
        f"POST {PATH}/mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hostless.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    ).encode()
    busy = [await opened(hostless, head) for _ in range(2)]
    await until(lambda: len(hostless.sidecar.work._items) == 2, "the requests to begin")
    refused = await opened(hostless, b"")
    assert " 503 " in await answered(refused)
    assert await is_closed(refused)
    (line,) = hostless.audit()
    assert (line["kind"], line["outcome"], line["address"]) == ("denial", "too_many_connections", "127.0.0.1")
    for stream in busy:
        stream[1].close()
    await until(lambda: not hostless.sidecar.work._items, "the requests to end")
    async with hostless.http() as http:
        assert (await http.post(hostless.url, json=INITIALIZE)).status_code == 200
