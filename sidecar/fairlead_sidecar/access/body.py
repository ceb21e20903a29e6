"""A request's body, read ahead within limits and then handed on."""

import asyncio
from typing import Any, NamedTuple

import pydantic_core
from starlette.types import Message, Receive

from fairlead_sidecar.access.budget import Lease

BODY_KEY = "fairlead.body"
"""Where the gate leaves the `Body` in the ASGI scope."""
MAX_BYTES = 4 * 1024 * 1024
"""Largest request body. A file of this size can't be written in one call, as JSON and base64 need room too."""
MAX_BYTES_WITHOUT_WRITE = 512 * 1024
"""Largest body of a caller that may not write files: the longest command line, in JSON that escapes most of it."""
SECONDS = 30.0
"""How long a client may take to send a body."""


class TooLarge(Exception):
    """The body is larger than the caller's may be."""


class TooSlow(Exception):
    """The body did not arrive within `SECONDS`."""


class Disconnected(Exception):
    """The client went away before it had sent everything."""


class Glance(NamedTuple):
    """What a body seems to be."""

    method: str | None = None
    """Of JSON-RPC; None where it is not what it should be."""
    target: str | None = None
    """What it is about: `name` or else `uri`."""
    is_request: bool = True
    """False for a notification and for an answer to a question of ours, which may always come."""


class Body:
    """The body, and a `receive` that first gives it back and then tells of a disconnect as the server sees it.

    With an empty `content` that `receive` hides a body which nobody wants to read.
    """

    def __init__(self, content: bytes, receive: Receive) -> None:
        self.content = content
        self.message: dict[str, Any] | None = None
        """What a glance has read, until it is taken."""
        self._receive = receive
        self._replayed = False

    @classmethod
    async def read(cls, receive: Receive, declared: str | None, *, limit: int, lease: Lease) -> "Body":
        """Read it all.

        Args:
            declared: The Content-Length header, if any.
            limit: Most bytes that the caller may send.
            lease: The room it is read into.

        Raises:
            TooLarge: Nothing beyond the limit was kept.
            TooSlow: It did not come in time.
            NoRoom: Other bodies take the room that it needs.
            Disconnected: The client went away.
        """
        if declared is not None and declared.isdecimal():
            if int(declared) > limit:
                raise TooLarge
            lease.check(int(declared))
        content = bytearray()
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Disconnected
                    content += message.get("body", b"")
                    if len(content) > limit:
                        raise TooLarge
                    lease.grow(len(content))
                    if not message.get("more_body", False):
                        return cls(bytes(content), receive)
        except TimeoutError:
            raise TooSlow from None

    async def receive(self) -> Message:
        """An ASGI `receive` for what comes behind."""
        if not self._replayed:
            self._replayed = True
            content, self.content = self.content, b""
            return {"type": "http.request", "body": content, "more_body": False}
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return message

    def take(self) -> None:
        """Its message is in good hands: nothing of it is held here any more."""
        self._replayed, self.content, self.message = True, b"", None

    def glance(self) -> Glance:
        """A first look for a good answer at the HTTP level; the tool's own check does not rely on it."""
        try:
            message: Any = pydantic_core.from_json(self.content)
        except ValueError:
            return Glance()
        if not isinstance(message, dict):
            return Glance()
        self.message = message
        method = message.get("method")
        if not isinstance(method, str):
            return Glance(is_request="result" not in message and "error" not in message)
        params = message.get("params")
        target = params.get("name", params.get("uri")) if isinstance(params, dict) else None
        return Glance(method, target if isinstance(target, str) else None, not method.startswith("notifications/"))
