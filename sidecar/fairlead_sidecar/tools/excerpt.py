"""Keeps the beginning and the end of an output of any length in bounded memory."""

import re
from dataclasses import dataclass

from fairlead_sidecar.tools.text import whole_characters

_HALF_AT_THE_BEGINNING = re.compile(rb"\A[\x80-\xbf]{1,3}")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Beginning and end of an output; where nothing is left out, all of it is in `head`."""

    head: bytes
    tail: bytes
    total: int
    """Bytes of the whole output."""

    @property
    def omitted(self) -> int:
        """Bytes that are left out between the two."""
        return self.total - len(self.head) - len(self.tail)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self.head) + len(self.tail)

    def shortened(self, limit: int) -> "Excerpt":
        """At most `limit` bytes of it (at least 2), from beginning and end."""
        if self.size <= limit:
            return self
        half = limit // 2
        return Excerpt(self.head[:half], (self.head + self.tail)[-half:], self.total)

    def content(self) -> bytes:
        """What is kept; where bytes are left out, a line in square brackets says how many."""
        if not self.omitted:
            return self.head + self.tail
        return b"%b\n[... %d bytes left out ...]\n%b" % (self.head, self.omitted, self.tail)

    def in_whole_characters(self) -> "Excerpt":
        """Without the parts of UTF-8 characters that were cut in two where the middle was left out."""
        if not self.omitted:
            return self
        head = self.head[: whole_characters(self.head)]
        return Excerpt(head, _HALF_AT_THE_BEGINNING.sub(b"", self.tail), self.total)


class OutputBuffer:
    """Collects one stream: at most `limit` bytes, half from its beginning and half from its end."""

    def __init__(self, limit: int) -> None:
        self._head_limit = (limit + 1) // 2
        self._tail_limit = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0
        """Bytes that were fed, kept or not."""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self.total += len(data)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail += data[-self._tail_limit :] if self._tail_limit else b""
        # Cutting only at twice the limit keeps the copying proportional to the stream's length.
        if len(self._tail) > 2 * self._tail_limit:
            del self._tail[: -self._tail_limit]

    def excerpt(self) -> Excerpt:
        """What was kept."""
        if self.total <= self._head_limit + self._tail_limit:
            return Excerpt(bytes(self._head + self._tail), b"", self.total)
        tail = self._tail[-self._tail_limit :] if self._tail_limit else b""
        return Excerpt(bytes(self._head), bytes(tail), self.total)
