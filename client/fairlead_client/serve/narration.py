"""What the person is told of the link, and what they say to end it."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

from fairlead_client.serve.errors import LoginRefused, ServeError
from fairlead_client.serve.explain import explain
from fairlead_client.serve.options import ServeOptions
from fairlead_client.serve.passphrase import locked_identities
from fairlead_client.serve.say import say
from fairlead_sidecar.config import Target
from fairlead_sidecar.errors import AuthenticationFailed
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.ssh.login import STILL_TRYING
from fairlead_sidecar.ssh.route import JUMP_HOST
from fairlead_sidecar.statusz import LinkState, LinkStatus

LONG_POLL_SECONDS = 60.0


async def announce_connection(sidecar: Sidecar, options: ServeOptions, target: Target) -> None:
    """Wait for the outcome of the first login.

    Raises:
        ServeError: It failed.
    """
    status = sidecar.status()
    while status.link.state is LinkState.CONNECTING or STILL_TRYING in status.link.message:
        status = await sidecar.status_after(status.version, LONG_POLL_SECONDS)
    if status.link.state is LinkState.FAILED:
        raise await _refusal(sidecar, status.link, options, target)
    say(f"Connected to {target.username}@{target.address}:{target.port} ({_seen(status.link)}).")


async def _refusal(sidecar: Sidecar, status: LinkStatus, options: ServeOptions, target: Target) -> ServeError:
    message = explain(status, options, target)
    if status.reason != AuthenticationFailed.reason or sidecar.active is None:
        return ServeError(message)
    locked = await asyncio.to_thread(locked_identities, sidecar.active.config)
    return LoginRefused(message, locked, by_target=not status.message.startswith(JUMP_HOST))


async def narrate(sidecar: Sidecar) -> None:
    """Say how the link fares, for as long as it is served."""
    status = sidecar.status()
    said = status.link.state
    while not (sidecar.leaving or sidecar.draining):
        status = await sidecar.status_after(status.version, LONG_POLL_SECONDS)
        if sidecar.leaving or sidecar.draining or status.link.state is said:
            continue
        if status.link.state is LinkState.CONNECTED:
            said = LinkState.CONNECTED
            say(f"Connected again ({_seen(status.link)}).")
        elif status.link.state is LinkState.FAILED:
            said = LinkState.FAILED
            say(f"Not connected: {status.link.message} It is tried again until it works.")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that a signal sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def ask() -> None:
        stop.set()
        # A second Ctrl-C does not wait for the host any more.
        loop.remove_signal_handler(signal.SIGINT)

    for number in numbers:
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        # uvloop keeps them beyond its own end, and Ctrl-C would do nothing while a passphrase is asked for.
        for number in numbers:
            loop.remove_signal_handler(number)


def _seen(status: LinkStatus) -> str:
    return ", ".join(part for part in (status.host_key_fingerprint, status.server_version) if part)
