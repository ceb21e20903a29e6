"""A stream of bytes as lines, of which one may be long."""


class Lines:
    """Cuts what is fed into lines."""

    def __init__(self, most: int) -> None:
        """Take lines of at most `most` bytes."""
        self._most = most
        self._piece = b""
        self._at = 0
        self._partial = bytearray()

    def feed(self, piece: bytes) -> None:
        """The next piece of the stream, once `take` has given None for the one before."""
        self._piece, self._at = piece, 0

    def take(self) -> bytes | bytearray | None:
        """The next line, without its end; None where the rest of it is still to come.

        Raises:
            OverflowError: It is too long.
        """
        end = self._piece.find(b"\n", self._at)
        if end < 0:
            self._partial += memoryview(self._piece)[self._at :]
            self._piece, self._at = b"", 0
            if len(self._partial) > self._most:
                raise OverflowError
            return None
        line = self._piece[self._at : end]
        self._at = end + 1
        if not self._partial:
            return line
        # Joined in place: a long line is held once.
        whole, self._partial = self._partial, bytearray()
        whole += line
        return whole

    def rest(self) -> bytearray:
        """What stands behind the last line end."""
        return self._partial
