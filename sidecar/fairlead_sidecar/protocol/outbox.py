"""What one session is still to be told, bounded in number and pace."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import mcp_types as types

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission

BURST = 10
"""Messages at once; beyond them they go `INTERVAL` seconds apart."""
INTERVAL = 1.0
MOST_WAITING = 32
"""Messages that wait for their turn; beyond them the oldest goes, and the next one that is sent says so."""
LEVELS: tuple[types.LoggingLevel, ...] = get_args(types.LoggingLevel)
"""From the least to the most severe."""


@dataclass(frozen=True)
class Notice:
    """One message, and who may read it."""

    level: types.LoggingLevel
    data: dict[str, Any]
    needs: frozenset[Permission]
    owner: str | None = None
    """Whom alone it concerns; None: it says how the host stands now, to everybody who has the permissions."""

    def concerns(self, caller: Caller) -> bool:
        """Whether the caller may read it."""
        return self.owner in (None, caller.owner) and self.needs <= caller.permissions

    def reaches(self, level: types.LoggingLevel) -> bool:
        """Whether it is at least as severe."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


class Outbox:
    """Keeps messages until they may go."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: deque[Notice] = deque()
        self._dropped = 0
        self._due = 0.0
        """When the next message would be due if there were no bursts."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, notice: Notice) -> None:
        """Add one. How the host stood before matters no more."""
        if notice.owner is None:
            self._waiting = deque(earlier for earlier in self._waiting if earlier.owner is not None)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(notice)

    def delay(self) -> float:
        """Seconds until one more may go, which counts as sent then."""
        now = self._clock()
        seconds = max(0.0, self._due - (BURST - 1) * INTERVAL - now)
        self._due = max(self._due, now) + INTERVAL
        return seconds

    def take(self) -> tuple[Notice, int]:
        """The oldest one, and how many had to go since the last one that was taken."""
        dropped, self._dropped = self._dropped, 0
        return self._waiting.popleft(), dropped
