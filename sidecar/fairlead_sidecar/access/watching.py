"""What goes on beside a request while its answer is awaited."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import anyio
from starlette.types import Receive

WATCH_SECONDS = 0.05
"""After which somebody watches for the client to leave; most requests are answered before."""
PING_SECONDS = 15.0
"""Between two signs that a request goes on, for a client and for proxies on the way."""
PING = b": ping\r\n\r\n"
"""A comment in a stream of events."""


@contextlib.contextmanager
def watching(receive: Receive, ping: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Run the block until it ends, or until the client has gone, which cancels it.

    Args:
        receive: Where the client's leaving shows, once its request was read.
        ping: Shows the client that its request goes on.
    """
    watch: asyncio.Task[None] | None = None

    async def accompany() -> None:
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    while (await receive())["type"] != "http.disconnect":
                        pass
            except TimeoutError:
                await ping()
                continue
            scope.cancel()
            return

    def begin() -> None:
        nonlocal watch
        watch = asyncio.get_running_loop().create_task(accompany())

    with anyio.CancelScope() as scope:
        timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, begin)
        try:
            yield
        finally:
            timer.cancel()
            if watch is not None:
                watch.cancel()
