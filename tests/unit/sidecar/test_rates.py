"""A moving window."""

import random
import tracemalloc

import pytest

from fairlead_sidecar.access.rates import MovingWindow, share


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_so_many_events_have_room_and_no_more(clock: Clock) -> None:
    window = MovingWindow(60, clock)
    assert [window.take("a", 3) for _ in range(4)] == [0, 0, 0, 60]
    assert window.take("b", 3) == 0


def test_room_comes_back_as_told(clock: Clock) -> None:
    window = MovingWindow(60, clock)
    for _ in range(3):
        assert window.take("a", 3) == 0
        clock.now += 10
    wait = window.take("a", 3)
    assert wait == 30
    clock.now += wait - 0.1
    assert window.take("a", 3) == 1
    clock.now += 0.2
    assert [window.take("a", 3) for _ in range(2)] == [0, 10]


def test_a_refusal_does_not_count(clock: Clock) -> None:
    window = MovingWindow(60, clock)
    window.take("a", 1)
    for _ in range(100):
        clock.now += 0.59
        window.take("a", 1)
    clock.now += 1.01
    assert window.take("a", 1) == 0


def test_a_limit_may_change_at_any_time(clock: Clock) -> None:
    window = MovingWindow(60, clock)
    for _ in range(10):
        window.take("a", 10)
        clock.now += 1
    assert window.take("a", 2) == 58  # until all but the last are gone
    assert window.take("a", 10) == 50
    assert window.take("a", 11) == 0


def test_never_are_more_let_through_within_any_window(clock: Clock) -> None:
    random.seed(7)
    window, taken = MovingWindow(60, clock), list[float]()
    for _ in range(20_000):
        clock.now += random.expovariate(3)
        wait = window.take("a", 40)
        if not wait:
            taken.append(clock.now)
        assert wait <= 60
    assert len(taken) > 0.95 * 40 * (clock.now - 1000) / 60
    assert all(later - earlier >= 60 for earlier, later in zip(taken, taken[40:], strict=False))


def test_memory_does_not_grow_with_the_limit(clock: Clock) -> None:
    window = MovingWindow(3600, clock)
    tracemalloc.start()
    try:
        for _ in range(100_000):
            window.take("a", 1_000_000)
            clock.now += 0.036
        assert tracemalloc.get_traced_memory()[0] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_others_are_forgotten(clock: Clock) -> None:
    window = MovingWindow(60, clock)
    for key in ("kept", "gone"):
        window.take(key, 1)
    window.keep({"kept", "new"})
    assert (window.take("kept", 1), window.take("gone", 1)) == (60, 0)


@pytest.mark.parametrize(("percent", "expected"), [(100, 60), (50, 30), (250, 150), (1, 1)])
def test_a_share_is_never_nothing(percent: int, expected: int) -> None:
    assert share(60, percent) == expected
