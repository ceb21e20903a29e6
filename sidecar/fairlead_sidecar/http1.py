"""HTTP/1.1 as uvicorn speaks it, with bounds on what a stranger can make it hold."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""What a request line and its headers may take, give or take one read from the socket."""
HEAD_SECONDS = 15.0
"""How long a client may take for the first of them on a connection."""


class BoundedHttp(HttpToolsProtocol):
    """Ends connections whose request head is endless or never comes: uvicorn would collect and wait without limit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._head_bytes > HEAD_BYTES:
            self._refuse()
            return
        # A head that ends within `data` sets the count back, even where the next one begins behind it.
        self._head_bytes += len(data) if self._in_head else 0
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is there; the body behind it is bounded by who reads it."""
        self._stop_timer()
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may follow."""
        self._in_head = True
        super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self) -> None:
        message = f"The request line and headers may take {HEAD_BYTES} bytes."
        body = json.dumps({"error": "headers_too_large", "message": message}).encode()
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()
