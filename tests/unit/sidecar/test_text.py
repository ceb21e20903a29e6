"""Bytes as text."""

import pytest

from fairlead_sidecar.tools.text import Encoding, as_content, as_output, whole_characters


@pytest.mark.parametrize("text", ["", "plain", "grün €𝄞", "a\0b\x1b[0m"])
def test_valid_utf_8_is_given_as_it_is(text: str) -> None:
    assert as_output(text.encode()) == (text, Encoding.UTF8)
    assert as_content(text.encode()) == (text, Encoding.UTF8)


def test_output_with_stray_bytes_stays_readable_and_is_marked() -> None:
    assert as_output(b"gr\xfcn") == ("gr\N{REPLACEMENT CHARACTER}n", Encoding.REPLACED)


def test_binary_output_stays_exact() -> None:
    assert as_output(b"\xff\0") == ("/wA=", Encoding.BASE64)


def test_file_content_is_always_exact() -> None:
    assert as_content(b"gr\xfcn") == ("Z3L8bg==", Encoding.BASE64)


@pytest.mark.parametrize("character", ["ü", "€", "𝄞"])
def test_a_character_cut_in_two_is_found(character: str) -> None:
    encoded = character.encode()
    for kept in range(len(encoded) + 1):
        data = b"ab" + encoded[:kept]
        assert whole_characters(data) == (len(data) if kept in (0, len(encoded)) else 2)


def test_what_is_no_utf_8_anyway_is_not_cut() -> None:
    assert whole_characters(b"\xff\xc3") == 2
