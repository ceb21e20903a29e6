"""The login begins while most of the sidecar is still being loaded: on its own, it waits for the host most of the time.

So this module and what it imports must stay small.
"""

import asyncio
import gc
import logging
from collections.abc import Callable
from importlib import import_module

from fairlead_sidecar import allocator, lazy_modules
from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.observer import Direction, NullObserver, Observer
from fairlead_sidecar.statusz import LinkState

logger = logging.getLogger(__name__)


class HeadStart:
    """A link that is kept up from now on, for somebody who takes it over.

    Args:
        config: What the link goes by until it is told of another.
    """

    def __init__(self, config: SidecarConfig) -> None:
        self.config = config
        self._relay = _Relay()
        self._on_change: Callable[[], None] | None = None
        self._link = Link(config, on_change=self._changed, observer=self._relay)
        self._running = asyncio.get_running_loop().create_task(self._link.run())

    def take_over(self, on_change: Callable[[], None], observer: Observer) -> Link:
        """The link; its changes are told from now on, and at once how it stands."""
        self._on_change, self._relay.to = on_change, observer
        observer.on_state(connected=self._link.status().state is LinkState.CONNECTED)
        return self._link

    async def keep(self) -> None:
        """Keep the link up until cancelled, whatever happens in it; then its connections are closed."""
        while True:
            try:
                await self._running
            except Exception:  # a fault in the link must show in the log and heal, not silence the host for good
                logger.exception("The link failed; it is started anew")
            await asyncio.sleep(1)
            self._running = asyncio.get_running_loop().create_task(self._link.run())

    async def close(self) -> None:
        """Close the link's connections, where nobody keeps it up."""
        self._running.cancel()
        await asyncio.wait([self._running])

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()


async def load(module: str) -> None:
    """Import a module in a thread, so that a login goes on meanwhile.

    Raises:
        ImportError: It can't be imported.
    """
    allocator.give_large_blocks_back()
    try:
        await asyncio.to_thread(_load, module)
    finally:
        # Whatever was imported stays: going through it again with each collection would only lengthen pauses.
        gc.freeze()
        gc.enable()


def _load(module: str) -> None:
    lazy_modules.defer_wire_models()
    import_module(module)


class _Relay:
    """Passes on what the link counts to whoever counts by then."""

    def __init__(self) -> None:
        self.to: Observer = NullObserver()

    def on_reconnect(self) -> None:
        self.to.on_reconnect()

    def on_bytes(self, direction: Direction, count: int) -> None:
        self.to.on_bytes(direction, count)

    def on_state(self, *, connected: bool) -> None:
        self.to.on_state(connected=connected)
