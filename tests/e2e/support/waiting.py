"""Waiting on conditions: the only place of the end-to-end tests that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T | None], *, timeout: float, what: str, interval: float = 0.1) -> T:
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


def holds_for(probe: Callable[[], object], *, seconds: float, what: str, interval: float = 1.0) -> None:
    """Watch that `probe` stays truthy.

    Raises:
        AssertionError: It was falsy once within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe(), f"did not hold for {seconds} s: {what}"
        time.sleep(interval)
