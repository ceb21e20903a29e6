"""One HTTP connection: what goes out on it, and how whatever a server sends is read."""

from collections.abc import Sequence
from typing import cast

import pytest

from fairlead_sidecar.upstream.errors import ProtocolError, UpstreamError
from fairlead_sidecar.upstream.http_connection import Connection, Response
from fairlead_sidecar.upstream.http_failures import BrokenOff
from fairlead_sidecar.upstream.tunnel import TunnelStream

URL = "http://127.0.0.1:8080/mcp"
OK = b"HTTP/1.1 200 OK\r\n"


class Wire:
    """Gives what a server sends, piece by piece, and keeps what it is sent; stands for a `TunnelStream`."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.sent: list[bytes] = []
        self._pieces = list(pieces)
        self.readable = False

    async def read(self, most: int, _url: str) -> bytes:
        assert not self._pieces or len(self._pieces[0]) <= most
        return self._pieces.pop(0) if self._pieces else b""

    async def write(self, data: bytes, _url: str) -> None:
        self.sent.append(data)


def connection(*pieces: bytes) -> tuple[Connection, Wire]:
    wire = Wire(pieces)
    return Connection(cast("TunnelStream", wire)), wire


async def whole(response: Response) -> bytes:
    body = bytearray()
    while piece := await response.read():
        body += piece
    return bytes(body)


async def answer(*pieces: bytes) -> tuple[int, bytes, bool]:
    """Status and body of an answer, and whether another request can follow it."""
    opened, _ = connection(*pieces)
    response = await opened.send("POST", URL, b"/mcp", {"host": "a"}, b"{}")
    body = await whole(response)
    return response.status_code, body, opened.usable


async def test_a_request_goes_out_in_one_piece() -> None:
    opened, wire = connection(OK + b"content-length: 0\r\n\r\n")
    await opened.send("POST", URL, b"/mcp?x=1", {"host": "a", "content-length": "2"}, b"{}")
    assert wire.sent == [b"POST /mcp?x=1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"]


@pytest.mark.parametrize(
    "headers", [{"a": "b\r\nc: d"}, {"a\r\nb": "c"}, {"a b": "c"}, {"": "c"}, {"a": "é"}, {"a": "b\x00"}, {"a": "b\n"}]
)
async def test_what_no_header_may_be_is_not_sent(headers: dict[str, str]) -> None:
    opened, wire = connection()
    with pytest.raises(UpstreamError, match="can't be sent"):
        await opened.send("GET", URL, b"/", headers, b"")
    assert wire.sent == []


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((OK + b"Content-Length: 5\r\n\r\nhello",), b"hello"),
        ((OK + b"Content-Len", b"gth: 5\r\n\r", b"\nhe", b"llo"), b"hello"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"), b"hello"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nafter: all\r\n\r\n",), b"hello"),
        ((b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",), b"hello"),
        ((b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",), b"hello"),
        ((b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",), b""),
    ],
)
async def test_an_answer_is_read_and_another_request_may_follow(pieces: tuple[bytes, ...], body: bytes) -> None:
    _, read, usable = await answer(*pieces)
    assert read == body
    assert usable


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((OK + b"\r\nhel", b"lo"), b"hello"),
        ((OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",), b"hello"),
        ((b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",), b"hello"),
        ((OK + b"Content-Length: 5\r\n\r\nhello" + OK + b"Content-Length: 4\r\n\r\nmore",), b"hello"),
        ((OK + b"Content-Length: 5\r\n\r\nhellorubbish",), b"hello"),
    ],
)
async def test_none_may_follow_where_the_connection_ends_or_says_more_than_asked(
    pieces: tuple[bytes, ...], body: bytes
) -> None:
    status, read, usable = await answer(*pieces)
    assert (status, read) == (200, body)
    assert not usable


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 200 O",),
        (OK + b"Content-Length: 6\r\n\r\nhello",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",),
    ],
)
async def test_an_answer_that_ends_too_soon_has_broken_off(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(BrokenOff, match="closed the connection before it had answered"):
        await answer(*pieces)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"220 mail.internal ready\r\n\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",),
        (OK, *[b"a: %s\r\n" % (b"x" * 60_000)] * 4),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"a: %s\r\n" % (b"x" * 60_000)] * 4),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",),
    ],
    ids=["smtp", "upgrade", "endless-head", "endless-trailer", "no-chunk"],
)
async def test_what_is_no_answer_is_a_protocol_error(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(ProtocolError, match="does not speak HTTP"):
        await answer(*pieces)


async def test_what_was_left_of_an_answer_is_not_taken_for_the_next_one() -> None:
    opened, _ = connection(OK + b"Content-Length: 10\r\n\r\nhello")
    await opened.send("POST", URL, b"/mcp", {"host": "a"}, b"{}")
    opened.done()
    assert not opened.usable


async def test_an_answer_that_nobody_read_leaves_the_connection_usable() -> None:
    opened, _ = connection(OK + b"Content-Length: 5\r\n\r\nhello")
    response = await opened.send("POST", URL, b"/mcp", {"host": "a"}, b"{}")
    opened.done()
    assert opened.usable
    assert await whole(response) == b""
