"""Requests that offer to go on with another protocol, as `curl --http2` and Java's HTTP client do without TLS."""

import asyncio
import json
from typing import Any

import pytest

from fairlead_sidecar import http1
from tests.integration.app.endpoint import PATH, RunningEndpoint, modern_headers, request
from tests.integration.app.test_connections import Stream, answered, is_closed, opened
from tests.integration.sshd import PATIENCE_SECONDS

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n"


def discover(endpoint: RunningEndpoint, number: int, offer: str) -> bytes:
    """A request of the modern protocol."""
    message = {**request("server/discover", modern=True), "id": number}
    body = json.dumps(message).encode()
    headers = {
        **endpoint.bearer(),
        **modern_headers(message),
        "Host": "web-01",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Content-Length": len(body),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH}/mcp HTTP/1.1\r\n{lines}{offer}\r\n".encode() + body


async def result(stream: Stream) -> Any:
    """The next answer's JSON."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = (await stream[0].readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200 "), head
        length = next(line for line in head.splitlines() if line.startswith("content-length:"))
        return json.loads(await stream[0].readexactly(int(length.partition(":")[2])))


@pytest.mark.parametrize("offer", [H2C, WEBSOCKET])
async def test_a_request_with_an_offer_is_served_and_so_is_the_next(hostless: RunningEndpoint, offer: str) -> None:
    stream = await opened(hostless, discover(hostless, 1, offer))
    assert (await result(stream))["id"] == 1
    for number, again in ((2, offer), (3, "")):
        stream[1].write(discover(hostless, number, again))
        assert (await result(stream))["id"] == number
    stream[1].close()


async def test_several_at_once_are_served_in_their_order(hostless: RunningEndpoint) -> None:
    stream = await opened(hostless, b"".join(discover(hostless, number, H2C) for number in range(20)))
    assert [(await result(stream))["id"] for _ in range(20)] == list(range(20))
    stream[1].close()


async def test_one_that_comes_in_pieces_is_served(hostless: RunningEndpoint) -> None:
    data = discover(hostless, 1, H2C)
    stream = await opened(hostless, data[:40])
    for start in range(40, len(data), 40):
        await asyncio.sleep(0.001)
        stream[1].write(data[start : start + 40])
    assert (await result(stream))["id"] == 1
    stream[1].close()


async def test_the_wish_to_close_the_connection_is_kept(hostless: RunningEndpoint) -> None:
    offer = H2C.replace("Connection: Upgrade", "Connection: Close, Upgrade")
    stream = await opened(hostless, discover(hostless, 1, offer))
    assert (await result(stream))["id"] == 1
    assert await is_closed(stream)


async def test_a_stranger_is_refused_and_a_body_that_never_comes_is_given_up(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "LINGER_SECONDS", 0.3)
    head = f"POST {PATH}/mcp HTTP/1.1\r\nHost: x\r\n{H2C}Content-Length: 9\r\n\r\n".encode()
    stream = await opened(hostless, head)
    assert " 401 " in await answered(stream)
    assert await is_closed(stream)
