"""HTTP/1.1 as uvicorn speaks it, with bounds on what a stranger can make it hold."""

import asyncio
import json
import sys
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fairlead_sidecar.access.responses import HELD_KEY
from fairlead_sidecar.joined_writes import JoinedWrites

HEAD_BYTES = 64 * 1024
"""What a request line and its headers may take, give or take one read from the socket."""
HEAD_SECONDS = 15.0
"""How long a client may take for each of them, and to begin the first one on a connection."""
LINGER_SECONDS = 2.0
"""How long the rest of a body is taken and thrown away that was answered without having been read: a connection closed
at once would often take the answer with it."""
MAX_CONNECTIONS = 1000
"""Connections to one port. When they are all there, a new one takes the place of the one that is idle for longest."""
UNSENT_BYTES = 32 * 1024
"""What may wait in one connection for its client to read; an answer that is longer waits in whole or goes on later."""
STALLED_SECONDS = 30.0
"""How long a client may take nothing of what waits for it before its connection is closed."""
TOTAL_UNSENT_BYTES = 32 * 1024 * 1024
"""What may wait on one port for clients that read slowly. Beyond it the connection goes that has waited for longest."""
_OF_UPGRADES = frozenset({b"connection", b"upgrade", b"http2-settings"})


class BoundedHttp(HttpToolsProtocol):
    """Ends connections whose request is endless or never comes, or whose answer nobody takes.

    uvicorn would collect and wait without limit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()
        self._stalled_since: float | None = None
        self._unsent = 0
        self._held = 0
        self._stalled: asyncio.TimerHandle | None = None
        self._parsed = self._again = b""

    def refused(self, reason: str) -> None:
        """Called when a connection is refused before it became a request; `reason` is short and bounded."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """See `asyncio.Protocol`."""
        has_room = self._make_room()
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        if has_room:
            self._end_in(HEAD_SECONDS)
        else:
            self._refuse(503, "too_many_connections", "Too many connections are open; try again.")

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._go_on()
        self._sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._stalled_since = self.loop.time()
        self._watch_sending()
        self._relieve()

    def resume_writing(self) -> None:
        """The client has read nearly everything."""
        self._sending()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES:
            message = f"The request line and headers may take {HEAD_BYTES} bytes."
            self._refuse(431, "headers_too_large", message)
            return
        # A head that ends within `data` sets the count back, even where the next one begins behind it.
        self._head_bytes += len(data) if self._in_head else 0
        # uvicorn stops watching an idle connection at its first byte, even one that begins no request (CR, LF).
        if self._in_head and self._idle:
            self._end_in(HEAD_SECONDS)
        self._again = data
        while self._again and not self.transport.is_closing():
            self._parsed, self._again = self._again, b""
            super().data_received(self._parsed)
        self._parsed = b""

    def on_message_begin(self) -> None:
        """A head begins."""
        self._end_in(HEAD_SECONDS)
        super().on_message_begin()
        cast("dict[str, object]", self.scope)[HELD_KEY] = self._hold

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. The parser leaves blanks behind its value, which are no part of it (RFC 9110, section 5.5)."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is there; the body behind it is bounded by who reads it."""
        if self._asks_for_upgrade:
            return
        self._go_on()
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may follow."""
        if self._asks_for_upgrade:
            return
        self._go_on()
        self._in_head = True
        super().on_message_complete()
        if self._idle:
            # Answered before its end came: uvicorn no longer watches.
            self._end_in(HEAD_SECONDS)

    def _unsupported_upgrade_warning(self) -> None:
        """Serve a request that offers to go on with another protocol (h2c) as if it did not: RFC 9110, section 7.8.

        The parser has stopped behind its head and would take neither its body nor another request.
        """
        upgrade = sys.exception()
        if not isinstance(upgrade, httptools.HttpParserUpgrade) or self.parser.get_method() == b"CONNECT":
            return
        options = b",".join(value for name, value in self.headers if name == b"connection").lower()
        kept = [(name, value) for name, value in self.headers if name not in _OF_UPGRADES]
        if b"close" in {option.strip() for option in options.split(b",")}:
            kept.append((b"connection", b"close"))
        version = self.parser.get_http_version().encode()
        head = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
        head += b"".join(b"%b: %b\r\n" % header for header in kept) + b"\r\n"
        self._again = head + self._parsed[upgrade.args[0] :]
        self.parser = httptools.HttpRequestParser(self)

    def on_response_complete(self) -> None:
        """An answer is complete, perhaps before its request is."""
        self._idle_since = self.loop.time()
        super().on_response_complete()
        if not self._in_head:
            self._end_in(LINGER_SECONDS)

    @property
    def _asks_for_upgrade(self) -> bool:
        """Whether the request whose head is there will be taken anew, without that wish."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    @property
    def waiting(self) -> int:
        """Bytes of an answer that wait for the client."""
        return self.transport.get_write_buffer_size() + self._held

    def _hold(self, size: int) -> None:
        self._held = size

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> bool:
        """Whether there is room for one more connection, if need be after an idle one was closed."""
        if len(self.connections) < MAX_CONNECTIONS:
            return True
        alive = [
            other
            for other in self.connections
            if isinstance(other, BoundedHttp) and not other.transport.is_closing()  # those are about to leave
        ]
        if len(alive) < MAX_CONNECTIONS:
            return True
        idle = [other for other in alive if other._idle]  # noqa: SLF001 - of the same class
        if not idle:
            return False
        min(idle, key=lambda other: other._idle_since).transport.abort()  # noqa: SLF001 - of the same class
        return True

    def _watch_sending(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self._check_sending)

    def _check_sending(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent:
            self._watch_sending()
        else:
            self.transport.abort()

    def _sending(self) -> None:
        self._stalled_since = None
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _relieve(self) -> None:
        """Close those that have waited for longest where too much waits on this port; never the one that begins to.

        It may well be read at once: a large answer never fits into what the kernel takes.
        """
        slow = [
            other
            for other in self.connections
            if isinstance(other, BoundedHttp) and other._stalled_since is not None  # noqa: SLF001 - of the same class
        ]
        total = sum(other.waiting for other in slow)
        slow.sort(key=lambda other: other._stalled_since or 0.0)  # noqa: SLF001 - of the same class
        for other in slow[:-1]:
            if total <= TOTAL_UNSENT_BYTES:
                return
            total -= other.waiting
            other.transport.abort()

    def _end_in(self, seconds: float) -> None:
        """Close the connection after so long, unless it is to go sooner already."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _go_on(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int, name: str, message: str) -> None:
        self.refused(name)
        body = json.dumps({"error": name, "message": message}).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (status, HTTPStatus(status).phrase.encode(), len(body), body)
        )
        self.transport.close()
