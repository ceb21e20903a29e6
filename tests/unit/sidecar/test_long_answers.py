"""How an answer to a request of a handshake session goes out."""

import json
from typing import Any

import pytest

from fairlead_sidecar.access.responses import HELD_KEY
from fairlead_sidecar.access.sse import PIECE_CHARACTERS, Events


class Client:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.held: list[int] = []
        self.events = Events({HELD_KEY: self.held.append}, self._take, {b"mcp-session-id": b"s"}, first=None)

    async def _take(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


def message(size: int) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"text": "x" * size}})


async def test_a_short_answer_is_json_of_a_known_length() -> None:
    client, text = Client(), message(10)
    assert await client.events.answer(text, "1-1")
    assert client.headers == {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(text),
        b"mcp-session-id": b"s",
    }
    assert client.body == text.encode()


@pytest.mark.parametrize("size", [PIECE_CHARACTERS, 5 * PIECE_CHARACTERS])
async def test_a_long_answer_that_comes_soon_is_json_too_in_pieces(size: int) -> None:
    """An event of more than 1 MiB is more than the Python SDK's client takes."""
    client, text = Client(), message(size)
    assert await client.events.answer(text, "1-1")
    assert client.headers == {b"content-type": b"application/json", b"mcp-session-id": b"s"}
    assert client.body == text.encode()
    assert max(len(message["body"]) for message in client.messages[1:]) == PIECE_CHARACTERS
    assert [message["more_body"] for message in client.messages[1:]][-2:] == [True, False]
    assert client.held[-1] == 0
    await client.events.ping()
    await client.events.end()
    assert client.body == text.encode(), "nothing comes behind the answer"


async def test_an_answer_behind_something_else_is_an_event() -> None:
    client, text = Client(), message(2 * PIECE_CHARACTERS)
    await client.events.ping()
    assert not await client.events.answer(text, "1-1")
    assert client.headers[b"content-type"] == b"text/event-stream"
    assert client.body.endswith(b"id: 1-1\r\nevent: message\r\ndata: " + text.encode() + b"\r\n\r\n")
