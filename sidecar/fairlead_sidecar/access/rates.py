"""How often something may happen: a moving window for each token.

The library `limits` has one too, which does not fit here: each hit goes through all keys in a task of its own with a
thread hop for each, it counts by the wall clock, a changed limit forgets what was counted, and it takes 6 MiB and
130 ms to import.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

_PIECES = 120
"""What happens within such a part of the window leaves it together, when the last of it does."""


@dataclass
class _Piece:
    began: float
    last: float
    count: int


class MovingWindow:
    """At most so many events of a key within any `seconds`.

    It never lets more through, and holds back at most a 120th of the window longer than it must; in exchange a key
    takes the same little room whatever its limit.

    Args:
        seconds: Length of the window.
        clock: Seconds that only grow.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pieces: dict[str, deque[_Piece]] = {}
        self._counts: dict[str, int] = {}

    def take(self, key: str, limit: int) -> int:
        """Count one event.

        Args:
            limit: Events within any `seconds`, at least 1; it may be another one each time.

        Returns:
            0 where there was room; else nothing is counted, and in so many whole seconds there will be.
        """
        now = self._clock()
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces, self._counts[key] = self._pieces.setdefault(key, deque()), 0
        while pieces and pieces[0].last <= now - self._seconds:
            self._counts[key] -= pieces.popleft().count
        if self._counts[key] >= limit:
            return self._wait(pieces, self._counts[key] - limit, now)
        self._counts[key] += 1
        if pieces and now - pieces[-1].began < self._seconds / _PIECES:
            pieces[-1].last = now
            pieces[-1].count += 1
        else:
            pieces.append(_Piece(now, now, 1))
        return 0

    def keep(self, keys: AbstractSet[str]) -> None:
        """Forget all keys but these."""
        for key in self._pieces.keys() - keys:
            del self._pieces[key], self._counts[key]

    def _wait(self, pieces: deque[_Piece], excess: int, now: float) -> int:
        """Until as many events as are too many, and one more, have left the window."""
        for piece in pieces:
            excess -= piece.count
            if excess < 0:
                return max(1, math.ceil(piece.last + self._seconds - now))
        return math.ceil(self._seconds)


def share(limit: int, percent: int) -> int:
    """A token's part of a host's limit; at least 1."""
    return max(1, limit * percent // 100)
