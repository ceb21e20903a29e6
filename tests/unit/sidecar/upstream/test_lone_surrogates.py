"""Halves of characters, which JSON can spell and UTF-8 can't: who cuts UTF-16 strings in two writes them."""

import json

import pytest
from mcp_types import JSONRPCRequest, JSONRPCResponse

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.messages import MAX_LONE_SURROGATES, parse, render


def result(text: str, padding: int) -> bytes:
    """A message with a text as it stands in JSON."""
    return f'{{"jsonrpc":"2.0","id":1,"result":{{"padding":"{"x" * padding}","text":"{text}"}}}}'.encode()


@pytest.mark.parametrize("padding", [0, 300_000])
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\udE00 cut", "\ufffd cut"),
        (r"\uD83D\ude00\ude00", "\N{GRINNING FACE}\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (r"\ud83d\n\u0041", "\ufffd\nA"),
        (r"path\\ud83d and \ud83d", "path\\ud83d and \ufffd"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\\\\ud83d \udfff", "\\\\ud83d \ufffd"),
    ],
)
def test_a_server_that_cuts_characters_in_two_is_understood(text: str, read: str, padding: int) -> None:
    message = parse(result(text, padding))
    assert isinstance(message, JSONRPCResponse)
    assert message.result["text"] == read
    assert json.loads(render(message))["result"]["text"] == read


def test_what_is_no_json_is_none_with_them_either() -> None:
    for data in (result(r"\ud83d", 0)[:-1], result(r"\ud8", 0), result(r"\ud83d" * (MAX_LONE_SURROGATES + 1), 0)):
        with pytest.raises(ProtocolError, match="no JSON"):
            parse(data)


def test_an_argument_that_cant_be_written_is_the_callers_fault() -> None:
    request = JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call", params={"arguments": {"text": "cut \ud83d"}})
    with pytest.raises(InvalidRequest, match="half of a character"):
        render(request)
