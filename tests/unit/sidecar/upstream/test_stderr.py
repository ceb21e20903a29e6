import logging

import pytest

from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.stderr import (
    KEPT_CHARACTERS,
    KEPT_LINES,
    LINE_CHARACTERS,
    LINES,
    SECONDS,
    StandardError,
)


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def standard_error(*secrets: bytes) -> StandardError:
    return StandardError("hn", Redactor(secrets))


def test_lines_reach_the_log_under_the_servers_name(written: pytest.LogCaptureFixture) -> None:
    error = standard_error()
    error.feed(b"first li")
    error.feed(b"ne\n\nsecond\nnot yet")
    assert [record.message for record in written.records] == ["first line", "second"]
    assert {record.name for record in written.records} == {"fairlead_sidecar.upstream.stderr.hn"}


def test_the_end_of_it_is_kept_with_a_line_that_is_not_complete() -> None:
    error = standard_error()
    error.feed(b"".join(b"line %d\n" % number for number in range(50)) + b"and then")
    assert error.last_words.split(" | ") == [*(f"line {number}" for number in range(50 - KEPT_LINES, 50)), "and then"]


def test_the_end_of_it_is_bounded() -> None:
    error = standard_error()
    error.feed(b"".join(b"%d" % number * 500 + b"\n" for number in range(10)))
    assert len(error.last_words) <= KEPT_CHARACTERS + 1
    assert error.last_words.startswith("…")
    assert error.last_words.endswith("9" * 500)


def test_a_flood_is_counted_instead_of_logged(
    written: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    error = standard_error()
    for _ in range(100):
        error.feed(b"error\n" * 1000)
    assert len(written.records) == LINES
    assert error.last_words.count("error") == KEPT_LINES
    now += SECONDS
    error.feed(b"quiet again\n")
    assert [record.message for record in written.records[LINES:]] == [
        f"{100_000 - LINES} more lines of its standard error are not shown",
        "quiet again",
    ]


def test_a_line_without_end_is_cut_and_not_held(written: pytest.LogCaptureFixture) -> None:
    error = standard_error()
    for _ in range(1000):
        error.feed(b"x" * 10_000)
    error.feed(b"\nnext\n")
    assert [len(record.message) for record in written.records] == [LINE_CHARACTERS + 1, 4]


def test_colours_and_what_terminals_obey_are_left_out(written: pytest.LogCaptureFixture) -> None:
    error = standard_error()
    error.feed("\x1b[1;31merror\x1b[0m:\x07 größer\r\n".encode() + b"\xff\n")
    assert [record.message for record in written.records] == ["error:  größer", "\N{REPLACEMENT CHARACTER}"]


def test_what_may_be_the_beginning_of_a_secret_is_shown_at_the_end(written: pytest.LogCaptureFixture) -> None:
    error = standard_error(b"s3cret-value")
    error.feed(b"what is s3cret")
    error.end()
    error.end()
    assert error.last_words == "what is s3cret"
    assert [record.message for record in written.records] == ["what is s3cret"]


def test_secrets_are_masked_wherever_the_pieces_end(written: pytest.LogCaptureFixture) -> None:
    error = standard_error(b"s3cret-value")
    for byte in b"the token is s3cret-value!\nfine\n":
        error.feed(bytes([byte]))
    assert [record.message for record in written.records] == ["the token is [redacted]!", "fine"]
    assert "s3cret" not in error.last_words
