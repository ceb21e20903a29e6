"""When each token was used last, to the hour: enough to find those that nobody needs, and seldom news."""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

_HOUR = 3600


class LastUse:
    """By the owner (UID of the McpToken), since this process began.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._hours: dict[str, int] = {}
        self._news = False
        self.told: dict[str, datetime] = {}
        """The beginning of the hour in which each was used last, as of the last `keep`."""

    def note(self, owner: str) -> None:
        """It is used now."""
        hour = int(self._clock()) // _HOUR
        if self._hours.get(owner) != hour:
            self._hours[owner] = hour
            self._news = True

    def keep(self, owners: AbstractSet[str]) -> bool:
        """Forget all owners but these, and tell what is new; whether anything is."""
        for owner in self._hours.keys() - owners:
            del self._hours[owner]
            self._news = True
        news, self._news = self._news, False
        if news:
            self.told = {owner: datetime.fromtimestamp(hour * _HOUR, UTC) for owner, hour in self._hours.items()}
        return news
