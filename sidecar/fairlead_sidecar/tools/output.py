"""Keeps the beginning and the end of an output of any length in bounded memory."""


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

    @property
    def omitted(self) -> int:
        """Bytes that `content` leaves out, between its head and its tail."""
        return max(0, self.total - self._head_limit - self._tail_limit)

    @property
    def truncated(self) -> bool:
        """Whether anything is left out."""
        return self.omitted > 0

    def content(self) -> bytes:
        """What was kept; where bytes were left out, a line in square brackets says how many."""
        if not self.truncated:
            return bytes(self._head + self._tail)
        tail = self._tail[-self._tail_limit :] if self._tail_limit else bytearray()
        return bytes(self._head + f"\n[... {self.omitted} bytes left out ...]\n".encode() + tail)
