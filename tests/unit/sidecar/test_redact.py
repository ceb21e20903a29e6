"""Values of policy.redact never get through, however output is cut into pieces."""

import base64
import json
import logging
import os
import random
import re
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from fairlead_sidecar.config import SecretValue
from fairlead_sidecar.errors import CredentialsInvalid, CredentialsNotFound
from fairlead_sidecar.tools.redact import MASK, MOST_BYTES, Redactor, redactor

SECRET = b"s3cr3t/+Value"


def streamed(redact: Redactor, pieces: Iterable[bytes]) -> bytes:
    stream = redact.stream()
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.end()])


def expected(text: bytes, needles: Iterable[bytes]) -> bytes:
    """By the definition: every byte of every occurrence is masked, one mask for what touches."""
    masked = [False] * len(text)
    for needle in needles:
        for at in range(len(text)):
            if text.startswith(needle, at):
                masked[at : at + len(needle)] = [True] * len(needle)
    marks = "".join("x" if mark else "." for mark in masked)
    return b"".join(
        MASK if run[0][0] == "x" else text[run.start() : run.end()] for run in re.finditer(r"x+|\.+", marks)
    )


def test_a_value_is_masked_at_every_border_between_two_pieces() -> None:
    redact = Redactor([SECRET])
    text = b"before " + SECRET + b" between " + SECRET + SECRET + b" behind"
    for border in range(len(text) + 1):
        for second in range(border, len(text) + 1, 3):
            pieces = [text[:border], text[border:second], text[second:]]
            assert streamed(redact, pieces) == b"before [redacted] between [redacted] behind"


def test_a_value_that_comes_byte_by_byte_is_masked() -> None:
    text = b"a" + SECRET + b"z"
    assert streamed(Redactor([SECRET]), (bytes([byte]) for byte in text)) == b"a[redacted]z"


def test_any_text_in_any_pieces_gives_what_the_definition_says() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        needles = [bytes(chance.choices(b"ab", k=chance.randint(4, 7))) for _ in range(chance.randint(1, 3))]
        redact = Redactor(needles)
        text = bytes(chance.choices(b"abc", [5, 5, 1], k=chance.randint(0, 40)))
        pieces, at = [], 0
        while at < len(text):
            size = chance.randint(1, 9)
            pieces.append(text[at : at + size])
            at += size
        assert streamed(redact, pieces) == expected(text, redact._needles), (needles, pieces)


def test_only_the_possible_beginning_of_a_value_is_held_back() -> None:
    stream = Redactor([SECRET]).stream()
    assert stream.feed(b"Password: ") == b"Password: "
    assert stream.feed(b"is s3c") == b"is "
    assert stream.feed(b"ond") == b"s3cond"


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"user:", b"x" * 100])
@pytest.mark.parametrize("behind", [b"", b"@", b"@h", b"\n", b"y" * 50])
def test_a_value_is_found_in_base64_wherever_it_stands_in_what_was_encoded(before: bytes, behind: bytes) -> None:
    redact = Redactor([SECRET])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + SECRET + behind)
        masked = redact.bytes(encoded)
        assert MASK in masked
        left = masked.replace(MASK, b"")
        assert len(left) <= len(encode(before)) + len(encode(behind)) + 4


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: quote(text, safe=""),
        quote,
        quote_plus,
        lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        shlex.quote,
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
    ],
)
def test_a_value_is_found_in_its_usual_spellings(spelling: object) -> None:
    assert callable(spelling)
    value = "pä\"ss' wörd/+=\t&"
    written = spelling(value)
    masked = Redactor([value.encode()]).text(f"({written})")
    assert set(masked.replace("[redacted]", "")) <= set("()\"'")


def test_each_long_line_of_a_key_is_masked_on_its_own() -> None:
    lines = [base64.b64encode(os.urandom(48)).decode() for _ in range(5)]
    redact = Redactor(["\n".join(["-----BEGIN KEY-----", *lines, "ab", "-----END KEY-----"]).encode()])
    assert redact.text(f"3: {lines[2]}") == "3: [redacted]"
    assert redact.text("\r\n".join(["x", *lines, "ab"])).count("[redacted]") == 5
    assert redact.text("ab") == "ab"


def test_a_key_that_a_tool_encodes_as_a_whole_is_masked_in_all_its_lines() -> None:
    key = b"-----BEGIN KEY-----\n" + base64.encodebytes(os.urandom(500)) + b"-----END KEY-----"
    masked = Redactor([key]).bytes(base64.encodebytes(key))
    assert set(masked.splitlines()[:-1]) == {MASK}


def test_structures_are_masked_in_all_their_strings() -> None:
    redact = Redactor([SECRET])
    secret = SECRET.decode()
    assert redact.structure({"a": [f"x{secret}", 1, None], secret: {"b": secret}}) == {
        "a": ["x[redacted]", 1, None],
        "[redacted]": {"b": "[redacted]"},
    }


def test_text_with_lone_surrogates_is_no_way_around() -> None:
    assert Redactor([SECRET]).text(f"\udcff{SECRET.decode()}\udcff") == "\udcff[redacted]\udcff"


def test_its_own_representation_tells_nothing() -> None:
    assert SECRET.decode() not in repr(Redactor([SECRET]))


def test_a_hundred_megabytes_take_well_under_a_second() -> None:
    stream = Redactor([os.urandom(16).hex().encode() for _ in range(8)]).stream()
    piece = b"some ordinary line of output 0123456789abcdef\n" * 700
    started = time.process_time()
    for _ in range(100_000_000 // len(piece)):
        stream.feed(piece)
    assert time.process_time() - started < 0.8


def test_long_values_and_output_full_of_their_parts_are_searched_fast_enough() -> None:
    key = base64.encodebytes(os.urandom(2400))
    stream = Redactor([key, *(os.urandom(20).hex().encode() for _ in range(10))]).stream()
    pieces = [os.urandom(32_768), base64.b64encode(os.urandom(24_576)), key[:40] * 819]
    started = time.process_time()
    for piece in pieces * 10:
        stream.feed(piece)
    assert time.process_time() - started < 1


def value(path: Path, content: bytes, name: str = "app/token") -> SecretValue:
    path.write_bytes(content)
    return SecretValue(file=path, name=name)


def test_the_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    secret = value(tmp_path / "token", b"first-value\n")
    assert redactor([secret]).text("first-value second-value") == "[redacted] second-value"
    assert redactor([secret]) is redactor([secret])
    value(tmp_path / "token", b"second-value")
    assert redactor([secret]).text("first-value second-value") == "first-value [redacted]"


def test_a_missing_value_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CredentialsNotFound, match="app/token"):
        redactor([SecretValue(file=tmp_path / "none", name="app/token")])


def test_values_that_are_too_long_to_be_searched_for_are_an_error(tmp_path: Path) -> None:
    half = value(tmp_path / "a", os.urandom(MOST_BYTES // 2 - 16).replace(b"\n", b"x"))
    assert redactor([half]).bytes(b"-" + half.file.read_bytes()) == b"-[redacted]"
    with pytest.raises(CredentialsInvalid, match="app/long"):
        redactor([half, value(tmp_path / "b", b"y" * MOST_BYTES, "app/long")])


def test_a_short_value_is_left_alone_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        redact = redactor([value(tmp_path / "pin", b"123\n", "app/pin")])
    assert redact.text("123") == "123"
    assert not redact
    assert "app/pin" in caplog.text
    assert "123" not in caplog.text


def test_what_is_held_back_begins_where_a_value_may_begin_and_no_later() -> None:
    dice = random.Random(7)

    def some(count: int) -> bytes:
        return bytes(dice.choice(b"ab") for _ in range(count))

    for _ in range(2000):
        redactor = Redactor([some(dice.choice((4, 11, 12, 13, 30))), some(20)])
        needles = redactor._needles
        buffer = some(dice.randrange(30)) + dice.choice(needles)[: dice.randrange(30)]
        beginnings = (
            at
            for at in range(len(buffer))
            if any(needle.startswith(buffer[at:]) and len(needle) > len(buffer) - at for needle in needles)
        )
        assert redactor.first_undecided(buffer) == next(beginnings, len(buffer)), (needles, buffer)


def test_output_that_is_full_of_a_values_first_character_is_no_slower() -> None:
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"\n".join(b"%064d" % number for number in range(240))
    stream, piece = Redactor([key]).stream(), b"-" * 32 * 1024

    def seconds(piece: bytes) -> float:
        begun = time.process_time()
        for _ in range(20):
            stream.feed(piece)
        return time.process_time() - begun

    assert seconds(piece) < 10 * seconds(b"x" * len(piece)) + 0.1
