"""Waiting on conditions: the only place of the end-to-end tests that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds for what has no limit of its own: several times what a quiet machine needs."""


def wait_until(probe: Callable[[], T | None], *, what: str, timeout: float = PATIENCE, interval: float = 0.1) -> T:
    """Return the first truthy value of `probe`.

    Raises:
        AssertionError: Nothing truthy within `timeout` seconds; the message has the last value seen.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}; last seen: {value!r}")
        time.sleep(interval)


def seconds_until(probe: Callable[[], object], *, what: str, timeout: float = 30.0, interval: float = 0.02) -> float:
    """How long it takes until `probe` is truthy, counted to the start of the last attempt that was not.

    What an attempt finds may be as old as its start, however long it takes itself: where a limit is a promise, only
    one that began after it shows that the promise is broken.

    Raises:
        AssertionError: It was not within `timeout` seconds.
    """
    began = last = time.monotonic()

    def attempt() -> bool:
        nonlocal last
        started = time.monotonic()
        if probe():
            return True
        last = started
        return False

    wait_until(attempt, timeout=timeout, what=what, interval=interval)
    return last - began


def settled(probe: Callable[[], T], *, what: str, pause: float = 3.0) -> T:
    """What `probe` gives once it has given the same twice, `pause` seconds apart.

    Raises:
        AssertionError: It gave something else each time.
    """
    seen: list[T] = []

    def same() -> bool:
        seen.append(probe())
        return len(seen) > 1 and seen[-1] == seen[-2]

    wait_until(same, what=f"{what} stands still", interval=pause)
    return seen[-1]


def holds_for(probe: Callable[[], object], *, seconds: float, what: str, interval: float = 1.0) -> None:
    """Watch that `probe` stays truthy.

    Raises:
        AssertionError: It was falsy once within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe(), f"did not hold for {seconds} s: {what}"
        time.sleep(interval)
