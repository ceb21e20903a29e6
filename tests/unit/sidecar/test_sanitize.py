"""Nothing in a text hides from its reader."""

import time
import unicodedata

import pytest

from fairlead_sidecar.tools.sanitize import Hidden, visible


@pytest.mark.parametrize("text", ["", "plain\n\ttext", "dos\r\nlines\r\n", "grün €𝄞 日本 ❤️ שלום", "a\\u202eb"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "shown", "kind"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m", Hidden.ANSI),
        ("\x1b]0;title\x07", "␛]0;title␇", Hidden.ANSI),
        ("\x9b31m", "\\x9b31m", Hidden.ANSI),
        ("50%\r100%", "50%␍100%", Hidden.CONTROL),
        ("a\r\r\n", "a␍\r\n", Hidden.CONTROL),
        ("a\0b\x08c\x7f", "a␀b␈c␡", Hidden.CONTROL),
        ("a\x85b", "a\\x85b", Hidden.CONTROL),
        ("a\u202eb\u2066", "a\\u202eb\\u2066", Hidden.BIDI),
        ("a\u200fb", "a\\u200fb", Hidden.BIDI),
        ("a\u200bb\ufeff\u00ad\u2028", "a\\u200bb\\ufeff\\xad\\u2028", Hidden.INVISIBLE),
        ("a\U000e0041\U000e007f", "a\\U000e0041\\U000e007f", Hidden.INVISIBLE),
        ("a\U000e0100\u3164\u034f", "a\\U000e0100\\u3164\\u034f", Hidden.INVISIBLE),
    ],
)
def test_what_hides_is_made_visible_and_named(text: str, shown: str, kind: Hidden) -> None:
    replaced, kinds = visible(text)
    assert replaced == shown
    assert kind in kinds


def test_no_control_or_format_character_of_unicode_gets_through() -> None:
    for point in range(0x110000):
        character = chr(point)
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} and character not in "\n\t":
            replaced, kinds = visible(f"a{character}b")
            assert character not in replaced
            assert len(kinds) == 1


def test_a_megabyte_of_any_text_is_done_at_once() -> None:
    for piece in ("plain text of a log\n", "日本語", "\x1b[1m"):
        text = piece * (1_000_000 // len(piece))
        started = time.process_time()
        visible(text)
        assert time.process_time() - started < 0.5
