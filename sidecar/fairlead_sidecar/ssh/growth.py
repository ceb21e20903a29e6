"""Makes further connections: several at once, but never near what a server takes for an attack (MaxStartups)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh.backoff import Backoff
from fairlead_sidecar.ssh.login import Login

AT_ONCE = 4
"""Logins under way. OpenSSH's default refuses the first at 10, and others may log in too."""
_AFTER_REFUSAL = 60.0
"""A server may lock an account whose logins fail."""

log = logging.getLogger(__name__)


class Growth:
    """The logins that are under way for one pool."""

    def __init__(self, login: Callable[[], Awaitable[Login]], on_done: Callable[[Login | None], None]) -> None:
        """Make connections with `login`; each is handed to `on_done`, None for one that could not be made."""
        self._login = login
        self._on_done = on_done
        self._backoff = Backoff(first=0.2, cap=10)
        self._not_before = 0.0
        self._at_once = AT_ONCE
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """Connections that are being made."""
        return len(self.tasks)

    @property
    def pause(self) -> float:
        """Seconds for which no further connection is made."""
        return max(0.0, self._not_before - asyncio.get_running_loop().time())

    def want(self, count: int) -> None:
        """Make `count` connections, fewer where that is not wise now."""
        if self.pause:
            return
        for _ in range(min(count, self._at_once) - self.under_way):
            task = asyncio.get_running_loop().create_task(self._make())
            self.tasks.add(task)

    async def _make(self) -> None:
        made: Login | None = None
        try:
            made = await self._login()
        except LinkError as error:
            log.warning("A further connection to the host could not be made: %s", error.message)
            pause = self._backoff.next() if error.retriable else _AFTER_REFUSAL
            self._not_before = asyncio.get_running_loop().time() + pause
            self._at_once = 1
        else:
            self._backoff.reset()
            self._at_once = min(AT_ONCE, self._at_once * 2)
        finally:
            task = asyncio.current_task()
            if task is not None:
                self.tasks.discard(task)
        self._on_done(made)
