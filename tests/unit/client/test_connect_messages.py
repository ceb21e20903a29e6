"""What the bridge reads of messages, and the headers that it makes of them."""

import json
from typing import Any

import pytest
from mcp.shared.inbound import encode_header_value, mcp_param_headers, x_mcp_header_map

from fairlead_client.connect import messages, url
from fairlead_client.connect.errors import ConnectError
from fairlead_client.connect.headers import ParameterHeaders, encoded
from fairlead_client.connect.lines import Lines
from fairlead_client.connect.session import Session


@pytest.mark.parametrize(
    ("text", "requests", "answers"),
    [
        ('{"id": 1, "method": "ping"}', (1,), ()),
        ('{"id": "1", "result": {}}', (), ("1",)),
        ('{"id": 0, "error": {}}', (), (0,)),
        ('{"method": "notifications/initialized"}', (), ()),
        ('{"id": null, "error": {}}', (), ()),
        ('[{"id": 1, "method": "ping"}, {"method": "x"}, {"id": 2, "result": {}}]', (1,), (2,)),
    ],
)
def test_requests_and_answers_are_told_apart(text: str, requests: Any, answers: Any) -> None:
    message = messages.read(text)
    assert (message.requests, message.answers) == (requests, answers)


@pytest.mark.parametrize("text", ["", "{", "1", "[]", '"x"', "[1]", "null"])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        messages.read(text)


def test_the_text_stays_as_it_is_but_for_line_breaks_between_tokens() -> None:
    text = '{"id": 1,\r\n "x": 1.0, "y": "a\\nb"}'
    assert messages.read(text).text == '{"id": 1,   "x": 1.0, "y": "a\\nb"}'


@pytest.mark.parametrize("value", ["plain", "", " edge", "edge ", "größe", "a\nb", "=?base64?eA==?=", "a=?b", "\x7f"])
def test_header_values_are_written_as_the_sdk_writes_them(value: str) -> None:
    assert encoded(value) == encode_header_value(value)


def test_parameter_headers_are_those_of_the_sdk() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "a": {"type": "string", "x-mcp-header": "A"},
            "b": {"type": "object", "properties": {"c": {"type": "boolean", "x-mcp-header": "C"}}},
            "list": {"type": "array", "items": {"type": "string", "x-mcp-header": "Never"}},
            "n": {"type": "integer", "x-mcp-header": "N"},
            "absent": {"type": "string", "x-mcp-header": "Absent"},
            "null": {"type": "string", "x-mcp-header": "Null"},
        }
    }
    arguments = {"a": "ä", "b": {"c": False}, "list": ["x"], "n": 42, "null": None}
    headers = ParameterHeaders()
    headers.learn({"tools": [{"name": "t", "inputSchema": schema}, "nonsense", {"name": 1}]})
    assert headers.of("t", arguments) == mcp_param_headers(x_mcp_header_map(schema), arguments)
    assert headers.of("other", arguments) == headers.of(None, arguments) == {}


def test_lines_are_put_together_from_pieces() -> None:
    lines = Lines()
    pieces = (b"one\ntw", b"o\n\n", b"thr", b"ee", b"\r\nfour")
    assert [lines.feed(piece) for piece in pieces] == [[b"one"], [b"two"], [], [], [b"three"]]


def test_a_session_repeats_what_is_in_force() -> None:
    session = Session(messages.read('{"id": 0, "method": "initialize"}'))
    for method, key, value in (
        ("logging/setLevel", "level", "info"),
        ("logging/setLevel", "level", "debug"),
        ("resources/subscribe", "uri", "test://a"),
        ("resources/subscribe", "uri", "test://b"),
        ("resources/unsubscribe", "uri", "test://a"),
        ("tools/list", "cursor", "x"),
    ):
        session.remember(messages.write({"id": 1, "method": method, "params": {key: value}}))
    repeated = [json.loads(message.text) for message in session.successor().repetitions()]
    assert [(message["method"], *message["params"].values()) for message in repeated] == [
        ("logging/setLevel", "debug"),
        ("resources/subscribe", "test://b"),
    ]
    assert len({message["id"] for message in repeated}) == 2


def test_a_session_takes_answers_to_what_it_has_asked_and_each_once() -> None:
    session = Session(messages.read('{"id": 0, "method": "initialize"}'), asked={7})
    answer = messages.read('{"id": 7, "result": {}}')
    assert [session.expects(answer), session.expects(answer)] == [True, False]
    assert session.expects(messages.notification("notifications/progress"))


@pytest.mark.parametrize(
    ("text", "loopback", "readable"),
    [
        ("http://127.0.0.1:1/mcp", True, False),
        ("http://[::1]/mcp", True, False),
        ("http://localhost/mcp", True, False),
        ("http://web-01.example/mcp", False, True),
        ("https://web-01.example/mcp", False, False),
        ("http://127.0.0.1.example/mcp", False, True),
    ],
)
def test_a_url_tells_who_can_read_along(text: str, loopback: bool, readable: bool) -> None:
    assert (url.is_loopback(text), url.is_readable_on_the_way(text)) == (loopback, readable)


def test_the_keyrings_account_is_origin_and_path() -> None:
    assert url.account(url.check("https://h/a/mcp?x=1#y")) == "https://h/a/mcp"


@pytest.mark.parametrize("text", ["", "h/mcp", "ftp://h/", "http://", "http://h:x/", "http://u@h/", "http://u:p@h/"])
def test_what_is_no_url_of_an_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ConnectError):
        url.check(text)
