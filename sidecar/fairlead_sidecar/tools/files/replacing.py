"""Exact replacements in a text, and what they changed."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.files.writing import EDITED_BYTES
from fairlead_sidecar.tools.redact import Redactor

NOTHING = Redactor()
DIFF_CHARACTERS = 20_000
_CONTEXT = 3
_COMPARED_LINES = 2000
"""Lines from the first difference on that are compared, at most."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Replacement:
    """One text for another."""

    old: str
    new: str


def replaced(
    data: bytes, replacements: list[Replacement], *, everywhere: bool, redactor: Redactor = NOTHING
) -> tuple[bytes, int]:
    r"""A file's content after the replacements, one after the other, and how many there were.

    A text is taken as the file spells it: where the file ends its lines with CR LF, a text with plain line feeds means
    these too. A byte order mark stays.

    Args:
        everywhere: Replace every occurrence; else each text must occur exactly once.
        redactor: Of values that the caller must not see. No text occurs in them: what is found there would tell what
            they are, and what is changed there would no longer be masked.

    Raises:
        InvalidRequest: The file is no UTF-8 text, or a text does not occur, or more than once, or the file would become
            too large to be edited again.
    """
    if b"\0" in data:
        raise InvalidRequest("The file is binary.", hint="Replace it as a whole with write_file.")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The file is no UTF-8 text.", hint="Replace it as a whole with write_file.") from None
    mark, text = (_BOM, data[len(_BOM) :]) if data.startswith(_BOM) else (b"", data)
    count = 0
    for number, replacement in enumerate(replacements, 1):
        old, new = replacement.old.encode(), replacement.new.encode()
        crlf = b"\r\n" in text and b"\n" not in text.replace(b"\r\n", b"")
        if crlf:
            old, new = _with_crlf(old), _with_crlf(new)
        pieces = list(_pieces(text, redactor))
        found = sum(piece.count(old) for piece, hidden in pieces if not hidden)
        if found == 0:
            raise InvalidRequest(
                f"The old text of edit {number} does not occur in the file; nothing was changed.",
                hint="Read the file and copy the text exactly, with its white space.",
            )
        if found > 1 and not everywhere:
            raise InvalidRequest(
                f"The old text of edit {number} occurs {found} times; nothing was changed.",
                hint="Give more of the text around it, or replace_all.",
            )
        if len(text) + found * (len(new) - len(old)) > EDITED_BYTES:
            # Before it is made: a few replacements can multiply a file without end.
            raise InvalidRequest(
                f"With edit {number} the file would have more than {EDITED_BYTES} bytes; nothing was changed.",
                hint="Make fewer or shorter replacements, or use a command.",
            )
        text = b"".join(piece if hidden else piece.replace(old, new) for piece, hidden in pieces)
        count += found
    return mark + text, count


def _pieces(text: bytes, redactor: Redactor) -> Iterator[tuple[bytes, bool]]:
    """The text in pieces, and whether each of them is a value that is masked."""
    position = 0
    for start, end in redactor.spans(text):
        yield text[position:start], False
        yield text[start:end], True
        position = end
    yield text[position:], False


def difference(old: str, new: str, path: str) -> tuple[str, bool]:
    """A unified diff, and whether it was cut."""
    before, after = _lines(old), _lines(new)
    # What is the same at both ends is left out: comparing long texts takes time that grows with their product.
    start = max(0, _same(before, after) - _CONTEXT)
    end = max(0, _same(before[start:][::-1], after[start:][::-1]) - _CONTEXT)
    before, after = before[start : len(before) - end], after[start : len(after) - end]
    truncated = max(len(before), len(after)) > _COMPARED_LINES
    matcher = difflib.SequenceMatcher(None, before[:_COMPARED_LINES], after[:_COMPARED_LINES], autojunk=False)
    text = [f"--- {path}", f"+++ {path}"]
    length = 0
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        for line in _hunk(group, before, after, start):
            length += len(line) + 1
            if length > DIFF_CHARACTERS:
                return "\n".join([*text, "[…]"]), True
            text.append(line)
    return ("\n".join(text) if len(text) > 2 else ""), truncated


def _hunk(
    group: Sequence[tuple[str, int, int, int, int]], before: list[str], after: list[str], start: int
) -> Iterator[str]:
    first, last = group[0], group[-1]
    yield f"@@ -{_range(first[1], last[2], start)} +{_range(first[3], last[4], start)} @@"
    for tag, i, j, k, m in group:
        if tag == "equal":
            yield from (f" {line}" for line in before[i:j])
        else:
            yield from (f"-{line}" for line in before[i:j])
            yield from (f"+{line}" for line in after[k:m])


def _range(first: int, end: int, start: int) -> str:
    # An empty range names the line before it.
    length = end - first
    beginning = start + first + (1 if length else 0)
    return str(beginning) if length == 1 else f"{beginning},{length}"


def _same(one: list[str], other: list[str]) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _lines(text: str) -> list[str]:
    # Not splitlines: it also splits at form feeds and other characters that end no line of a file.
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += "\n\\ No newline at end of file"
        return lines
    return lines[:-1]


def _with_crlf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
