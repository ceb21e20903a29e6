"""Messages of servers, read from bytes."""

import json

import pytest

from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.messages import parse, render


def nested(depth: int, padding: int) -> bytes:
    inner = "[" * depth + "]" * depth
    return f'{{"jsonrpc":"2.0","id":1,"result":{{"padding":"{"x" * padding}","inner":{inner}}}}}'.encode()


@pytest.mark.parametrize("padding", [0, 300_000])
def test_what_is_nested_too_deep_to_be_passed_on_is_refused(padding: int) -> None:
    message = parse(nested(150, padding))
    assert json.loads(render(message))["result"]["inner"]
    for depth in (250, 900, 100_000):
        with pytest.raises(ProtocolError, match="no JSON"):
            parse(nested(depth, padding))


@pytest.mark.parametrize("member", [b"[],", b"{},", b"1,"])
def test_a_message_of_more_values_than_may_be_is_refused_before_they_are_made(member: bytes) -> None:
    data = b'{"jsonrpc":"2.0","id":1,"result":{"many":[' + member * 8_000_001 + b"1]}}"
    with pytest.raises(ProtocolError, match="more than 1000000 lists"):
        parse(data)


def test_long_text_is_not_taken_for_many_values() -> None:
    text = "one, two, {three} [four]\n" * 400_000
    message = parse(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"text": text}}).encode())
    assert json.loads(render(message))["result"]["text"] == text
