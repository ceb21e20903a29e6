"""Standard output as the wire of MCP."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import anyio

PIECE = 64 * 1024
"""Characters that are encoded at a time."""


class _Pieces(io.TextIOBase):
    """Writes text as UTF-8 without having all of a large message once more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        for start in range(0, len(text), PIECE):
            piece = memoryview(text[start : start + PIECE].encode())
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]
        return len(text)


@contextmanager
def claimed() -> Iterator[anyio.AsyncFile[str]]:
    """Standard output for messages alone: whatever else writes to it meanwhile writes to standard error."""
    wire = os.dup(1)
    os.dup2(2, 1)
    try:
        yield anyio.wrap_file(cast("TextIO", _Pieces(wire)))
    finally:
        # The other one stays open: a thread may still be writing to it.
        os.dup2(wire, 1)
