"""One command from start to end: its deadlines, and what its end means."""

import asyncio

from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.result import Stopped


class NotTaken(Exception):
    """The waiting shell ended before it took the command, so it certainly did not run."""


async def follow(launcher: Launcher, *, deadline: float, idle_timeout: float | None = None) -> Stopped | None:
    """Wait for the end of a command that was begun.

    Args:
        launcher: Its channel.
        deadline: The event loop's time at which to give up waiting.
        idle_timeout: Seconds without any output after which to give up.

    Returns:
        None when it ended by itself, else why it has to be killed.

    Raises:
        NotTaken: It was never run.
        ConnectionLost: Its end will never be known.
    """
    loop = asyncio.get_running_loop()
    while not launcher.ended.is_set():
        silent_until = deadline if idle_timeout is None else launcher.active_at + idle_timeout
        until = min(deadline, silent_until)
        if loop.time() >= until:
            return "timeout" if until == deadline else "idle"
        try:
            async with asyncio.timeout_at(until):
                await launcher.ended.wait()
        except TimeoutError:
            # It may have written something meanwhile.
            continue
    if not launcher.sent or (launcher.exited and not launcher.taken):
        raise NotTaken
    if not launcher.exited:
        raise ConnectionLost("The connection to the host was lost while the command ran.")
    return None
