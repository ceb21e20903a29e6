import pytest

from fairlead_sidecar.tools.output import OutputBuffer


def test_short_output_is_kept_as_it_is() -> None:
    buffer = OutputBuffer(10)
    for piece in (b"01234", b"", b"56789"):
        buffer.feed(piece)
    assert (buffer.content(), buffer.total, buffer.truncated) == (b"0123456789", 10, False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1000])
def test_long_output_keeps_both_ends_however_it_is_cut_into_pieces(size: int) -> None:
    data = bytes(i % 251 for i in range(1000))
    buffer = OutputBuffer(100)
    for start in range(0, len(data), size):
        buffer.feed(data[start : start + size])
    assert buffer.content() == data[:50] + b"\n[... 900 bytes left out ...]\n" + data[-50:]
    assert (buffer.total, buffer.omitted, buffer.truncated) == (1000, 900, True)


def test_one_byte_too_many_is_said() -> None:
    buffer = OutputBuffer(3)
    buffer.feed(b"abcd")
    assert buffer.content() == b"ab\n[... 1 bytes left out ...]\nd"


@pytest.mark.parametrize(("limit", "kept"), [(0, b""), (1, b"a")])
def test_tiny_limits_hold(limit: int, kept: bytes) -> None:
    buffer = OutputBuffer(limit)
    buffer.feed(b"abc")
    assert buffer.content().split(b"\n")[0] == kept
    assert buffer.content().endswith(b"left out ...]\n")


def test_what_is_held_stays_within_the_limit() -> None:
    buffer = OutputBuffer(1000)
    for _ in range(10_000):
        buffer.feed(b"x" * 100)
    held = len(buffer._head) + len(buffer._tail)
    assert held <= 3 * 1000
