"""What is under way for each credential, so that revoking one ends it at once."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import anyio

from fairlead_sidecar.config import Permission


@dataclass(eq=False)
class Item:
    """One HTTP exchange or one running call; cancelled through its scope."""

    key: str
    """The credential, as in `Caller.key`."""
    needs: Permission | None
    """The permission that the running tool needs; None for an HTTP exchange."""
    tool: str | None = None
    """The running tool's name; None where it is no tool that runs."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Work:
    """Registry of all that would outlive a credential."""

    def __init__(self) -> None:
        self._items: set[Item] = set()
        self._ended = asyncio.Event()

    @contextlib.contextmanager
    def track(self, key: str, needs: Permission | None = None, tool: str | None = None) -> Iterator[anyio.CancelScope]:
        """Run the block until it ends by itself or is cut; then the yielded scope has `cancelled_caught`."""
        item = Item(key=key, needs=needs, tool=tool)
        self._items.add(item)
        try:
            with item.scope:
                yield item.scope
        finally:
            self._items.discard(item)
            self._ended.set()

    def cut(self, condemned: Callable[[Item], bool]) -> int:
        """Cancel what `condemned` picks; how many that were."""
        chosen = [item for item in self._items if condemned(item)]
        for item in chosen:
            item.scope.cancel()
        return len(chosen)

    async def calls_done(self) -> None:
        """Wait until no call is running, remote commands included."""
        await self._until(lambda: all(item.needs is None for item in self._items))

    async def idle(self) -> None:
        """Wait until nothing at all is under way."""
        await self._until(lambda: not self._items)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._ended.clear()
            await self._ended.wait()
