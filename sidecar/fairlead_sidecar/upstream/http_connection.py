"""One HTTP/1.1 connection to a server, through the link: a request goes out at once, its answer is read as it comes.

Not httpx2: a call through its layers took a millisecond of CPU, as much as all the rest of a call's way. What is left
of them here is a parser in C, uvicorn's own.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Self

import httptools

from fairlead_sidecar.upstream.http_failures import broken_off, not_http, unsendable
from fairlead_sidecar.upstream.tunnel import TunnelStream

_HEAD_BYTES = 128 * 1024
"""What an answer's head may take, and whatever else comes without a byte of its body."""
_READ_BYTES = 64 * 1024
_TOGETHER_BYTES = 64 * 1024
"""A body up to this size is sent with its head, in one packet where it is small."""
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")


class Response:
    """An answer, whose body is read while it comes; at the end of its block it is released."""

    def __init__(self, connection: "Connection", url: str, status_code: int, fields: list[tuple[str, str]]) -> None:
        self.url = url
        self.status_code = status_code
        self.fields = fields
        """Names in lower case and values, as they came."""
        self.headers: dict[str, str] = {}
        for name, value in fields:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.on_release: Callable[[], None] | None = None
        """Called once, when nothing more is wanted of it."""
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Want nothing more of it."""
        released, self.on_release = self.on_release, None
        if released is not None:
            released()

    @property
    def is_success(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status_code < 300

    @property
    def complete(self) -> bool:
        """Whether all of its body has come."""
        return self._connection.complete

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end.

        Raises:
            UpstreamError: It broke off.
        """
        return await self._connection.read()


class Connection:
    """A connection; its methods `on_...` are called by the parser."""

    def __init__(self, stream: TunnelStream) -> None:
        self.idle_since = 0.0
        """When its last request ended."""
        self._stream = stream
        self._parser = httptools.HttpResponseParser(self)
        # Some servers end lines without it, and the standard lets whoever reads do so too (RFC 9112, 2.2).
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self._url = ""
        self._fields: list[tuple[str, str]] = []
        self._status = 0
        self._pieces: deque[bytes] = deque()
        self._fruitless = 0
        self._complete = True
        self._reusable = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it: whatever comes unasked is the server's end of it."""
        return self._reusable and self._complete and not self._stream.readable

    @property
    def complete(self) -> bool:
        """Whether all of an answer has come, if it was not read yet."""
        return self._complete

    async def send(self, method: str, url: str, target: bytes, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a request; the head of its answer.

        Raises:
            UpstreamError: There is none.
        """
        self._url, self._fields, self._status, self._fruitless = url, [], 0, 0
        self._complete = self._reusable = False
        head = _head(method, target, headers)
        if head is None:
            raise unsendable(url)
        if len(body) <= _TOGETHER_BYTES:
            await self._stream.write(head + body, url)
        else:
            await self._stream.write(head, url)
            await self._stream.write(body, url)
        while not self._status:
            if not await self._feed():
                raise broken_off(url)
        return Response(self, url, self._status, self._fields)

    async def read(self) -> bytes:
        """The next bytes of the answer's body; empty at its end.

        Raises:
            UpstreamError: It broke off.
        """
        while not self._pieces:
            if self._complete:
                return b""
            if not await self._feed():
                self._end_of_stream()
        if len(self._pieces) == 1:
            return self._pieces.popleft()
        piece = b"".join(self._pieces)
        self._pieces.clear()
        return piece

    def done(self) -> None:
        """Nothing more is wanted of the answer; the connection is of no use where some of it is still to come."""
        self._pieces.clear()
        if not self._complete:
            self._reusable = False

    def close(self) -> None:
        """End it."""
        self._stream.close()

    async def _feed(self) -> bool:
        data = await self._stream.read(_READ_BYTES, self._url)
        if not data:
            return False
        self._fruitless += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._reusable = False
            if not self._complete:
                words = "it changes the protocol" if isinstance(error, httptools.HttpParserUpgrade) else str(error)
                raise not_http(self._url, words) from None
        if self._fruitless > _HEAD_BYTES:
            raise not_http(self._url, "its headers are too long")
        return True

    def _end_of_stream(self) -> None:
        headers = dict(self._fields)
        if "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower():
            raise broken_off(self._url)
        # Such a body ends with its connection.
        self._complete = True

    # --- called by the parser ---

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._complete:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one behind the body, which nobody asked for."""
        if not self._complete and not self._status:
            self._fields.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
        else:
            # It goes before the answer, and says nothing that is needed (RFC 9110, 15.2).
            self._fields.clear()

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        if not self._complete:
            self._fruitless = 0
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is there."""
        if self._status and not self._complete:
            self._complete, self._reusable = True, self._parser.should_keep_alive()


def _head(method: str, target: bytes, headers: Mapping[str, str]) -> bytes | None:
    """The head of a request; None where a header can't be sent."""
    try:
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("ascii")
    except UnicodeEncodeError:
        return None
    if fields.count(b"\r\n") != len(headers) or _FIELDS.fullmatch(fields) is None:
        return None
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, fields)
