"""A connection's transport that lets the head of an answer wait for the body behind it."""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "


class JoinedWrites:
    """Stands before an `asyncio.Transport`, of which it has everything else.

    uvicorn writes head and body one after the other, and uvloop gives each to the kernel as it comes: two system calls,
    and a client that wakes up for a head which tells it nothing.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport`; a head goes out with the next write, at the latest in the loop's next turn."""
        if self._head is not None:
            self._transport.writelines((self._head, data))
            self._head = None
        elif data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self._write_head)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """See `asyncio.Transport`."""
        self._write_head()
        self._transport.close()

    def _write_head(self) -> None:
        head, self._head = self._head, None
        if head is not None and not self._transport.is_closing():
            self._transport.write(head)
