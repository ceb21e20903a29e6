from datetime import timedelta

import pytest

from fairlead_api.quantities import format_bytes, format_duration, parse_bytes, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("720h", 2_592_000), ("0s", 0)],
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "-5m", "5d", "1h-30m", "5m\n", "9" * 31 + "h"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"30s, 5m or 1h30m|too long"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "30s", "5m", "1h30m", "720h", "250ms", "1m1s5ms"])
def test_a_written_duration_reads_back_as_the_same(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("value", "size"), [("1Mi", 2**20), ("64Ki", 65536), ("512k", 512_000), (4096, 4096), ("4096", 4096), ("1G", 10**9)]
)
def test_sizes_are_read_as_kubernetes_writes_them(value: str | int, size: int) -> None:
    assert parse_bytes(value) == size


@pytest.mark.parametrize("value", ["", "1MB", "-1", "1.5Mi", "Mi", "1 Mi", "1e3", -1, "9" * 30])
def test_what_is_no_size_is_refused_with_an_example(value: str | int) -> None:
    with pytest.raises(ValueError, match="64Ki, 1Mi"):
        parse_bytes(value)


@pytest.mark.parametrize(
    ("size", "text"), [(2**20, "1Mi"), (3 * 2**30, "3Gi"), (1500, "1500"), (2048, "2Ki"), (0, "0")]
)
def test_sizes_are_written_in_the_largest_unit_that_divides_them(size: int, text: str) -> None:
    assert format_bytes(size) == text
