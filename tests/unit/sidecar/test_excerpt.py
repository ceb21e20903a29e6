import pytest

from fairlead_sidecar.tools.excerpt import Excerpt, OutputBuffer
from fairlead_sidecar.tools.text import Encoding, as_output


def test_short_output_is_kept_as_it_is() -> None:
    buffer = OutputBuffer(10)
    for piece in (b"01234", b"", b"56789"):
        buffer.feed(piece)
    assert buffer.excerpt() == Excerpt(b"0123456789", b"", 10)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1000])
def test_long_output_keeps_both_ends_however_it_is_cut_into_pieces(size: int) -> None:
    data = bytes(i % 251 for i in range(1000))
    buffer = OutputBuffer(100)
    for start in range(0, len(data), size):
        buffer.feed(data[start : start + size])
    assert buffer.excerpt().content() == data[:50] + b"\n[... 900 bytes left out ...]\n" + data[-50:]
    assert (buffer.total, buffer.excerpt().omitted) == (1000, 900)


def test_one_byte_too_many_is_said() -> None:
    buffer = OutputBuffer(3)
    buffer.feed(b"abcd")
    assert buffer.excerpt().content() == b"ab\n[... 1 bytes left out ...]\nd"


@pytest.mark.parametrize(("limit", "kept"), [(0, b""), (1, b"a")])
def test_tiny_limits_hold(limit: int, kept: bytes) -> None:
    buffer = OutputBuffer(limit)
    buffer.feed(b"abc")
    assert buffer.excerpt().content().split(b"\n")[0] == kept
    assert buffer.excerpt().content().endswith(b"left out ...]\n")


def test_what_is_held_stays_within_the_limit() -> None:
    buffer = OutputBuffer(1000)
    for _ in range(10_000):
        buffer.feed(b"x" * 100)
    held = len(buffer._head) + len(buffer._tail)
    assert held <= 3 * 1000


@pytest.mark.parametrize("limit", range(20, 32))
def test_text_whose_middle_was_left_out_stays_text(limit: int) -> None:
    buffer = OutputBuffer(limit)
    buffer.feed(("a" + "€" * 40).encode())
    excerpt = buffer.excerpt().in_whole_characters()
    text, encoding = as_output(excerpt.content())
    assert encoding is Encoding.UTF8
    assert text.startswith("a€")
    assert f"[... {121 - len(text[: text.index(chr(10))].encode()) - excerpt.size + len(excerpt.head)} bytes" in text
    assert text.endswith("€")


@pytest.mark.parametrize("kept", [10, 30, 60, 100, 1000])
def test_an_output_is_shortened_again_with_the_right_count(kept: int) -> None:
    whole = bytes(range(ord("A"), ord("A") + 50)) * 4
    buffer = OutputBuffer(kept)
    buffer.feed(whole)
    for limit in (10, 20, 50, 200, 1000):
        data = buffer.excerpt().shortened(limit).content()
        most = min(kept, limit)
        if most >= 200:
            assert data == whole
        else:
            half = most // 2
            assert data == whole[:half] + b"\n[... %d bytes left out ...]\n" % (200 - 2 * half) + whole[-half:]


def test_a_line_in_the_output_that_looks_like_ours_changes_nothing() -> None:
    fake = b"\n[... 5 bytes left out ...]\n"
    buffer = OutputBuffer(100)
    buffer.feed(b"a" * 20 + fake + b"b" * 100)
    assert (
        buffer.excerpt().shortened(60).content()
        == b"a" * 20 + fake[:10] + b"\n[... 88 bytes left out ...]\n" + b"b" * 30
    )
