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
