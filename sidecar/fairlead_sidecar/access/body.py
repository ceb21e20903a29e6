"""A request's body, read ahead within a limit and then handed on."""

from typing import Any

import pydantic_core
from starlette.types import Message, Receive

MAX_BYTES = 4 * 1024 * 1024
"""Largest request body. A file of this size can't be written in one call, as JSON and base64 need room too."""


class TooLarge(Exception):
    """The body is larger than `MAX_BYTES`."""


class Disconnected(Exception):
    """The client went away before it had sent everything."""


class Body:
    """The body, and a `receive` that first gives it back and then tells of a disconnect as the server sees it."""

    def __init__(self, content: bytes, receive: Receive) -> None:
        self.content = content
        self._receive = receive
        self._replayed = False

    @classmethod
    async def read(cls, receive: Receive, declared: str | None) -> "Body":
        """Read it all.

        Args:
            declared: The Content-Length header, if any.

        Raises:
            TooLarge: Nothing beyond the limit was kept.
            Disconnected: The client went away.
        """
        if declared is not None and declared.isdecimal() and int(declared) > MAX_BYTES:
            raise TooLarge
        content = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            content += message.get("body", b"")
            if len(content) > MAX_BYTES:
                raise TooLarge
            if not message.get("more_body", False):
                return cls(bytes(content), receive)

    async def receive(self) -> Message:
        """An ASGI `receive` for what comes behind."""
        if not self._replayed:
            self._replayed = True
            return {"type": "http.request", "body": self.content, "more_body": False}
        return await self._receive()

    def method_and_tool(self) -> tuple[str | None, str | None]:
        """The JSON-RPC method and, for `tools/call`, the tool's name; None where it is not what it should be.

        A first look for a good answer at the HTTP level; the tool's own check does not rely on it.
        """
        try:
            message: Any = pydantic_core.from_json(self.content)
        except ValueError:
            return None, None
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return None, None
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        return message["method"], name if isinstance(name, str) else None
