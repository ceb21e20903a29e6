"""The whole output of commands, on disk, for the time in which somebody may ask for it.

Files are anonymous: they have no name from the moment they exist, so nothing can be found, linked to or left behind,
and all of them are gone with the process, however it ends.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from fairlead_sidecar.ssh.result import Stream

logger = logging.getLogger(__name__)

MiB = 1024 * 1024
CALL_BYTES = 64 * MiB
"""What is kept of one command, stdout and stderr together; what comes later is only counted."""
TOTAL_BYTES = 512 * MiB
"""What is kept of all commands."""
MEMORY_BYTES = 64 * 1024
"""A stream up to this size stays in memory until its command has ended."""
KEPT_SECONDS = 3600.0
"""How long after its command's end an output is kept."""
ENTRIES = 128
"""How many outputs are kept at most: each holds up to two open files."""


class Spooled:
    """The output of one command. Made by `Spool.open`."""

    def __init__(self, spool: "Spool", owner: str) -> None:
        self.owner = owner
        self.size: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        """Bytes that can be read, of each stream."""
        self.ended_at: float | None = None
        """When its command ended, by the monotonic clock."""
        self.gone = False
        """Whether it was removed, to make room or because of a failing disk."""
        self._spool = spool
        self._memory: dict[Stream, bytearray] = {}
        self._files: dict[Stream, IO[bytes]] = {}
        self._cut: set[Stream] = set()

    @property
    def total(self) -> int:
        """Bytes that it takes."""
        return self.size["stdout"] + self.size["stderr"]

    def write(self, stream: Stream, data: bytes) -> None:
        """Keep the next piece, as far as there is room; never raises."""
        if stream in self._cut:
            return
        room = CALL_BYTES - self.total
        if len(data) > room:
            # Only a stream's beginning is kept: a gap in the middle would shift all offsets behind it.
            self._cut.add(stream)
            data = data[:room]
        if not data or self.gone or not self._spool.make_room(self, len(data)):
            return
        try:
            if (file := self._files.get(stream)) is not None:
                file.seek(self.size[stream])
                file.write(data)
            else:
                memory = self._memory.setdefault(stream, bytearray())
                memory += data
                if len(memory) > MEMORY_BYTES:
                    self._leave_memory(stream)
        except OSError as error:
            logger.warning("The output of a command can't be kept: %s", error.strerror)
            self.discard()
            return
        self.size[stream] += len(data)
        self._spool.total += len(data)

    def read(self, stream: Stream, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end of what is kept.

        Raises:
            OSError: The disk fails.
        """
        count = max(0, min(count, self.size[stream] - offset))
        if (file := self._files.get(stream)) is None:
            return bytes(self._memory.get(stream, b"")[offset : offset + count])
        file.seek(offset)
        return file.read(count)

    def settle(self) -> None:
        """Its command has ended: leave memory, and begin to count the time it is kept for."""
        self.ended_at = self._spool.clock()
        try:
            for stream in list(self._memory):
                self._leave_memory(stream)
        except OSError as error:
            logger.warning("The output of a command can't be kept: %s", error.strerror)
            self.discard()

    def discard(self) -> None:
        """Remove it; idempotent."""
        if self.gone:
            return
        self.gone = True
        self._spool.remove(self)
        for file in self._files.values():
            with contextlib.suppress(OSError):  # a full disk may show only now, when it no longer matters
                file.close()
        self._files.clear()
        self._memory.clear()
        self.size = {"stdout": 0, "stderr": 0}

    def _leave_memory(self, stream: Stream) -> None:
        file = self._files[stream] = self._spool.new_file()
        file.write(self._memory.pop(stream))


class Spool:
    """All outputs that are kept.

    Args:
        clock: The monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.directory: Path | None = None
        """Where files are made; None: as `tempfile` chooses ($TMPDIR)."""
        self.clock = clock
        self.total = 0
        """What all outputs take."""
        self._entries: dict[Spooled, None] = {}
        """In the order in which they were opened."""

    def open(self, owner: str) -> Spooled:
        """For one more command of `owner`."""
        entry = Spooled(self, owner)
        if len(self._entries) >= ENTRIES:
            self._make_way(entry, lambda _: 1)
        self._entries[entry] = None
        return entry

    def make_room(self, entry: Spooled, count: int) -> bool:
        """Remove outputs until `count` more bytes of `entry` fit; whether they do."""
        while self.total + count > TOTAL_BYTES:
            if not self._make_way(entry, lambda other: other.total):
                return False
        return True

    def expire(self) -> None:
        """Remove what was kept long enough."""
        end = self.clock() - KEPT_SECONDS
        for entry in [entry for entry in self._entries if entry.ended_at is not None and entry.ended_at < end]:
            entry.discard()

    def new_file(self) -> IO[bytes]:
        """An empty file without a name.

        Raises:
            OSError: The disk refuses.
        """
        return TemporaryFile(dir=self.directory)

    def remove(self, entry: Spooled) -> None:
        """No longer count `entry`; see `Spooled.discard`."""
        del self._entries[entry]
        self.total -= entry.total

    def close(self) -> None:
        """Remove all."""
        for entry in list(self._entries):
            entry.discard()

    def _make_way(self, entry: Spooled, weight: Callable[[Spooled], int]) -> bool:
        """Remove the oldest output of whoever has most, by `weight`, so that no owner can push out the others'."""
        held: dict[str, int] = {}
        for other in self._entries:
            held[other.owner] = held.get(other.owner, 0) + weight(other)
        for owner in sorted(held, key=held.__getitem__, reverse=True):
            for other in self._entries:
                if other.owner == owner and other is not entry and weight(other):
                    other.discard()
                    return True
        return False
