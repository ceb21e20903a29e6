"""One command from start to end: output, deadline, result."""

import asyncio
import time
from collections import deque

from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.observer import Observer
from fairlead_sidecar.ssh.output import OutputBuffer
from fairlead_sidecar.ssh.result import CommandResult, OutputCallback, Stream

_HIGH_WATER = 256 * 1024
_PIECE = 64 * 1024


class NotTaken(Exception):
    """The waiting shell ended before it took the command, so it certainly did not run."""


class Collector:
    """Gathers a command's output within bounds and passes it on live."""

    def __init__(self, launcher: Launcher, output_limit: int, observer: Observer, *, live: bool) -> None:
        self.stdout = OutputBuffer(output_limit)
        self.stderr = OutputBuffer(output_limit)
        self._launcher = launcher
        self._observer = observer
        self._live = live
        self._pending: deque[tuple[Stream, bytes]] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()

    def feed(self, stream: Stream, data: bytes) -> None:
        """Take output from the channel."""
        (self.stdout if stream == "stdout" else self.stderr).feed(data)
        self._observer.on_bytes("received", len(data))
        if self._live:
            self._pending.append((stream, data))
            self._pending_bytes += len(data)
            self._hold_back()
            self._arrived.set()

    async def deliver(self, on_output: OutputCallback) -> None:
        """Pass output on until the command has ended and all of it was passed on."""
        while not (self._launcher.ended.is_set() and not self._pending):
            await self._arrived.wait()
            self._arrived.clear()
            while self._pending:
                stream, piece = self._next_piece()
                await on_output(stream, piece)

    def on_end(self) -> None:
        """The command has ended."""
        self._arrived.set()

    def stop_live(self) -> None:
        """Nobody listens any more: only count and keep from here on."""
        self._live = False
        self._pending.clear()
        self._pending_bytes = 0
        self._launcher.resume()

    def _next_piece(self) -> tuple[Stream, bytes]:
        """Neighbouring pieces of one stream, joined: many small writes make few messages."""
        stream, data = self._pending.popleft()
        pieces, size = [data], len(data)
        while self._pending and self._pending[0][0] == stream and size < _PIECE:
            pieces.append(self._pending.popleft()[1])
            size += len(pieces[-1])
        self._pending_bytes -= size
        if self._pending_bytes <= _HIGH_WATER // 2:
            self._launcher.resume()
            self._hold_back()
        return stream, b"".join(pieces)

    def _hold_back(self) -> None:
        if self._pending_bytes > _HIGH_WATER:
            self._launcher.pause()


async def follow(launcher: Launcher, collector: Collector, on_output: OutputCallback | None, deadline: float) -> bool:
    """Wait for the end of a command that was begun.

    Args:
        launcher: Its channel.
        collector: Where its output goes.
        on_output: Gets the output live.
        deadline: The event loop's time at which to give up waiting.

    Returns:
        Whether it ended in time.

    Raises:
        NotTaken: It was never run.
        ConnectionLost: Its end will never be known.
    """
    try:
        async with asyncio.timeout_at(deadline) as scope:
            if on_output:
                await collector.deliver(on_output)
            else:
                await launcher.ended.wait()
    except TimeoutError:
        if not scope.expired():
            raise  # not ours: on_output's
        return False
    if not launcher.sent or (launcher.exited and not launcher.taken):
        raise NotTaken
    if not launcher.exited:
        raise ConnectionLost("The connection to the host was lost while the command ran.")
    return True


def result(launcher: Launcher, collector: Collector, started: float, *, timed_out: bool) -> CommandResult:
    """What is known now. `started` is `time.monotonic()` when the call began."""
    return CommandResult(
        exit_code=launcher.exit_code,
        signal=launcher.signal,
        stdout=collector.stdout.content(),
        stderr=collector.stderr.content(),
        stdout_bytes=collector.stdout.total,
        stderr_bytes=collector.stderr.total,
        stdout_truncated=collector.stdout.truncated,
        stderr_truncated=collector.stderr.truncated,
        duration_seconds=time.monotonic() - started,
        timed_out=timed_out,
    )
