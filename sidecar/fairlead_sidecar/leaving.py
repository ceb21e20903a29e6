"""How a sidecar leaves in good order, because another one takes its place."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from fairlead_sidecar.access.work import Stream, Work
from fairlead_sidecar.tools.running import Commands

logger = logging.getLogger(__name__)

LINGER_SECONDS = 4.0
"""How long new requests are still taken after the process was told to stop. For a moment they still come here:
kube-proxy takes up to a second to learn of it, an Ingress controller that has the pods' addresses two or three. Every
answer ends its connection, so that the next request finds its way to the other pod."""


async def leave(
    work: Work, commands: Commands, *, timeout: float, hurry: asyncio.Event, close: Callable[[], None]
) -> None:
    """Wait until nothing is under way any more.

    Args:
        work: Requests and calls.
        commands: Those in the background are waited for, too.
        timeout: Seconds for all of it; 0 waits for nothing.
        hurry: Set: nothing is waited for any more.
        close: Called once everybody new is served elsewhere: from then on nothing new is to be taken.
    """
    ending = asyncio.create_task(_end(work, commands, close))
    hurried = asyncio.create_task(hurry.wait())
    try:
        done, _ = await asyncio.wait([ending, hurried], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurried.cancel()
        ending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ending
    if timeout and ending not in done:
        logger.info("What is still under way is ended: %s", "it is urgent" if done else "the time for it is over")


async def _end(work: Work, commands: Commands, close: Callable[[], None]) -> None:
    await asyncio.sleep(LINGER_SECONDS)
    close()
    # Whoever listened comes again, and finds the other pod.
    work.cut(lambda item: item.stream is Stream.NOTICES)
    await work.served()
    await commands.done()
