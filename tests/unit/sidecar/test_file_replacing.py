import difflib
import random
import time

import pytest

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.tools.files.redacting import redacted
from fairlead_sidecar.tools.files.replacing import DIFF_CHARACTERS, Replacement, difference, replaced
from fairlead_sidecar.tools.redact import Redactor


def edit(data: bytes, *pairs: tuple[str, str], everywhere: bool = False) -> bytes:
    return replaced(data, [Replacement(*pair) for pair in pairs], everywhere=everywhere)[0]


def test_replacements_are_made_one_after_the_other() -> None:
    assert edit(b"a b", ("a", "c"), ("c b", "d")) == b"d"


def test_line_ends_and_the_byte_order_mark_stay() -> None:
    assert edit(b"\xef\xbb\xbfa\r\nb\r\n", ("a\nb\n", "x\ny\n")) == b"\xef\xbb\xbfx\r\ny\r\n"
    assert edit(b"a\r\nb\r\n", ("a\r\nb", "x\r\ny")) == b"x\r\ny\r\n"
    assert edit(b"a\nb\n", ("a\nb", "x\ny")) == b"x\ny\n"


def test_a_file_with_both_kinds_of_line_ends_is_taken_to_the_byte() -> None:
    assert edit(b"a\r\nb\nc\n", ("b\nc", "x\ny")) == b"a\r\nx\ny\n"
    with pytest.raises(InvalidRequest, match="does not occur"):
        edit(b"a\r\nb\nc\n", ("a\nb", "x"))


def test_no_part_of_a_masked_value_can_be_found_or_changed() -> None:
    data, redactor = b"secret=correct-horse e\n", Redactor([b"correct-horse"])
    for old in ("correct-horse", "horse", "=corr", "-"):
        with pytest.raises(InvalidRequest, match="does not occur"):
            replaced(data, [Replacement(old, "x")], everywhere=True, redactor=redactor)
    # Elsewhere it is an edit as any other.
    one = [Replacement("e\n", "f\n"), Replacement("secret", "value")]
    assert replaced(data, one, everywhere=False, redactor=redactor) == (b"value=correct-horse f\n", 2)
    assert replaced(data, [Replacement("e", "~")], everywhere=True, redactor=redactor)[0] == b"s~cr~t=correct-horse ~\n"


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([("a", "x" * 100_000)], id="one long text for many short ones"),
        pytest.param([("a", "aa")] * 60, id="doubled again and again"),
    ],
)
def test_replacements_can_not_make_a_file_of_any_size(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest, match="would have more than 4194304 bytes"):
        edit(b"a" * 100, *pairs, everywhere=True)


@pytest.mark.parametrize("data", [b"a\0", b"\xff a"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"binary|UTF-8"):
        edit(data, ("a", "b"))


def test_a_text_must_occur_exactly_once_unless_all_are_meant() -> None:
    with pytest.raises(InvalidRequest, match="occurs 2 times"):
        edit(b"a a", ("a", "b"))
    assert edit(b"a a", ("a", "b"), everywhere=True) == b"b b"


def test_a_difference_is_a_unified_diff() -> None:
    source = random.Random(1)
    for _ in range(200):
        old = [source.choice("abcd") for _ in range(source.randrange(30))]
        new = [line for line in old if source.random() < 0.9]
        for _ in range(source.randrange(3)):
            new.insert(source.randrange(len(new) + 1), source.choice("abcdxyz"))
        text, cut = difference("".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new), "/f")
        assert not cut
        assert applied(old, text) == new
        assert bool(text) == (old != new)


def applied(old: list[str], diff: str) -> list[str]:
    """What patch(1) would make of it, which also checks each line's number."""
    new: list[str] = []
    position = 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            begin = int(start) - (0 if length == "0" else 1)
            new += old[position:begin]
            position = begin
            continue
        if line[0] in " -":
            assert old[position] == line[1:]
            position += 1
        if line[0] in " +":
            new.append(line[1:])
    return new + old[position:]


def test_a_difference_agrees_with_difflib() -> None:
    old, new = "a\nb\nc\nd\ne\nf\ng\nh\n", "a\nb\nc\nd\nX\nf\ng\nh"
    theirs = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "/f", "/f", lineterm=""))
    ours = difference(old, new, "/f")[0].splitlines()
    assert ours[:8] == theirs[:8]
    assert ours[-1] == "\\ No newline at end of file"


def test_a_difference_of_long_texts_takes_no_time_and_is_cut() -> None:
    old = "".join(f"line {n}\n" for n in range(200_000))
    started = time.monotonic()
    text, cut = difference(old, old.replace("line", "LINE"), "/f")
    assert time.monotonic() - started < 3
    assert cut
    assert len(text) < DIFF_CHARACTERS + 1000
    one, cut = difference(old, old.replace("line 100000\n", ""), "/f")
    assert (not cut, "@@ -99998,7 +99998,6 @@" in one) == (True, True)


def test_a_masked_piece_keeps_its_lines_and_finds_values_that_are_cut() -> None:
    mask = Redactor([b"first line of key\nsecond line of it"])
    data = b"a\nfirst line of key\nsecond line of it\nb"
    masked, was_masked = redacted(mask, data)
    assert (masked, was_masked) == (b"a\n[redacted]\n\nb", True)
    assert redacted(mask, data[10:20], before=data[:10], after=data[20:]) == (b"[redacted]\n", True)
    assert redacted(mask, b"harmless") == (b"harmless", False)
    assert redacted(Redactor(), data) == (data, False)
