"""What is under way for each credential, so that revoking one ends it at once."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

import anyio

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission


class Stream(Enum):
    """What an HTTP exchange is for that lasts for as long as its client wants."""

    NOTICES = "notices"
    """Only what the client may miss."""
    ANSWERS = "answers"
    """Also the answers to calls that came in other exchanges."""


@dataclass(eq=False)
class Item:
    """One HTTP exchange or one running call; cancelled through its scope."""

    caller: Caller
    """Who began it, and from where."""
    needs: Permission | None
    """The permission that the running tool needs; None for an HTTP exchange."""
    tool: str | None = None
    """The running tool's name; None where it is no tool that runs."""
    stream: Stream | None = None
    """None for a call, and for an exchange that ends with its answer."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Work:
    """Registry of all that would outlive a credential."""

    def __init__(self) -> None:
        self._items: set[Item] = set()
        self._ended = asyncio.Event()

    @contextlib.contextmanager
    def track(self, caller: Caller, needs: Permission | None = None, tool: str | None = None) -> Iterator[Item]:
        """Run the block until it ends by itself or is cut; then the yielded item's scope has `cancelled_caught`."""
        item = Item(caller=caller, needs=needs, tool=tool)
        self._items.add(item)
        try:
            with item.scope:
                yield item
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

    async def served(self) -> None:
        """Wait until only streams are under way; those that carry answers end as soon as they have none to carry."""

        def nothing_but_streams() -> bool:
            calling = {item.caller.owner for item in self._items if item.needs is not None}
            self.cut(lambda item: item.stream is Stream.ANSWERS and item.caller.owner not in calling)
            return all(item.stream is not None for item in self._items)

        await self._until(nothing_but_streams)

    async def idle(self) -> None:
        """Wait until nothing at all is under way."""
        await self._until(lambda: not self._items)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._ended.clear()
            await self._ended.wait()
