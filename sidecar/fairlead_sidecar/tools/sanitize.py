"""Text from a host without what acts on a terminal or hides from a reader.

What a person would not see, or see differently, is a way to give orders to a model behind its user's back: escape
sequences, bidirectional overrides, zero-width and tag characters. Each of them is made visible in place, never
dropped, and the result says which kinds there were.
"""

import unicodedata
from enum import StrEnum


class Hidden(StrEnum):
    """What was made visible in a text."""

    ANSI = "ansi"
    """Escape sequences of terminals: each ESC is written as ␛."""
    CONTROL = "control"
    """Other control characters, as their pictures (␀, ␈, ␍, …) or escapes."""
    BIDI = "bidi"
    """Characters that change the direction of writing, as \\u escapes."""
    INVISIBLE = "invisible"
    """Zero-width, tag and other characters that are not shown, as \\u escapes."""


_BIDI = frozenset({"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"})
_BIDI_MARKS = "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp"})
_PLAIN = frozenset({*map(chr, range(0x20, 0x7F)), "\n", "\t"})
"""What nearly all text is made of, and is never hidden."""
# Letters and marks that Unicode wants not to be shown at all; Python's database does not have that property. The
# variation selectors 1 to 16 stay: they choose between two looks of a visible character.
_NOT_SHOWN = frozenset({*"\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0", *map(chr, range(0xE0100, 0xE01F0))})


def visible(text: str) -> tuple[str, list[Hidden]]:
    """`text` with everything hidden made visible, and what kinds that was.

    Line feeds, tabs and the line ends of DOS stay as they are.
    """
    hidden = {character for character in set(text) - _PLAIN if _is_hidden(character)}
    kinds = set()
    for character in hidden:
        if character != "\r":
            text = text.replace(character, _shown(character))
            kinds.add(_kind(character))
    if "\r" in hidden:
        mended = "\r\n".join(line.replace("\r", _shown("\r")) for line in text.split("\r\n"))
        if mended != text:
            text = mended
            kinds.add(Hidden.CONTROL)
    return text, sorted(kinds)


def _is_hidden(character: str) -> bool:
    """Whether a character is made visible; of the carriage returns, those before a line feed pass."""
    return character in _NOT_SHOWN or unicodedata.category(character) in _CATEGORIES


def _kind(character: str) -> Hidden:
    if character in "\x1b\x9b\x9d":
        return Hidden.ANSI
    if unicodedata.category(character) == "Cc":
        return Hidden.CONTROL
    if character in _BIDI_MARKS or unicodedata.bidirectional(character) in _BIDI:
        return Hidden.BIDI
    return Hidden.INVISIBLE


def _shown(character: str) -> str:
    point = ord(character)
    if point < 0x20:
        return chr(0x2400 + point)
    if point == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
