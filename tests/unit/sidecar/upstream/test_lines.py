import pytest

from fairlead_sidecar.upstream.lines import Lines


def cut(pieces: list[bytes], most: int = 100) -> list[bytes]:
    lines, found = Lines(most), []
    for piece in pieces:
        lines.feed(piece)
        while (line := lines.take()) is not None:
            found.append(bytes(line))
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_lines_do_not_depend_on_where_the_pieces_end(size: int) -> None:
    text = b"one\n\ntwo three\r\nfour\nrest"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert cut(pieces) == [b"one", b"", b"two three\r", b"four"]


def test_a_line_that_came_in_pieces_is_free_to_be_emptied() -> None:
    lines = Lines(100)
    lines.feed(b"on")
    assert lines.take() is None
    lines.feed(b"e\ntwo\n")
    first = lines.take()
    assert first == b"one"
    assert isinstance(first, bytearray)
    first.clear()
    assert lines.take() == b"two"


def test_a_line_is_too_long_before_its_end_is_there() -> None:
    assert cut([b"x" * 60, b"x" * 40, b"\n"]) == [b"x" * 100]
    with pytest.raises(OverflowError):
        cut([b"x" * 60, b"x" * 41])
