"""How long to wait between two attempts to connect."""

import random


class Backoff:
    """Exponential delays with jitter: quick at first, then up to `cap` seconds."""

    def __init__(self, *, first: float, cap: float) -> None:
        self._first = first
        self._cap = cap
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure: between half and the whole of a doubling delay."""
        delay = min(self._cap, self._first * 2.0**self._failures)
        # Beyond the cap nothing changes any more, so the exponent needn't grow either.
        if delay < self._cap:
            self._failures += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load; nothing secret hangs on it

    def reset(self) -> None:
        """Begin anew: an attempt succeeded, or something changed that makes success likely."""
        self._failures = 0
