"""Every answer of the public port that is not MCP's own: small JSON objects `{error, message}`."""

import asyncio
import json
import logging
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import Message, Send

from fairlead_sidecar.access.grants import Unauthenticated
from fairlead_sidecar.config import SidecarConfig

logger = logging.getLogger(__name__)

INSTANCE_HEADER = "Fairlead-Instance"
"""Names the RemoteHost that answers, so that the operator recognises its own endpoint."""


def error(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error: its name for programs, a sentence for people."""
    return JSONResponse({"error": name, "message": message}, status_code=status, headers=headers)


def unauthorized(refusal: Unauthenticated, config: SidecarConfig) -> JSONResponse:
    """401 with a challenge (RFC 6750, section 3)."""
    challenge = f'Bearer realm="fairlead", error="invalid_token", error_description="{refusal.description}"'
    headers = {"WWW-Authenticate": challenge, INSTANCE_HEADER: config.instance}
    return error(401, "unauthorized", refusal.description, headers)


def insufficient_scope(scope: str, message: str) -> JSONResponse:
    """403 that names the scopes a sufficient token has (RFC 6750, section 3.1)."""
    challenge = f'Bearer realm="fairlead", error="insufficient_scope", scope="{scope}", error_description="{message}"'
    return error(403, "insufficient_scope", message, {"WWW-Authenticate": challenge})


FLUSH_SECONDS = 0.001
"""How long the beginning of an answer waits for what comes next, to be written with it: each write is a system call
and a packet, and a stream as the SDK sends it begins and ends with several."""
FIRST_SECONDS = 0.02
"""The same for the first write, with the head. A proxy in Go (net/http) that passes a head on before it has seen the
end of the request's body closes that, fails over it, and gives up the rest of the answer."""
OPENING_SECONDS = 0.5
"""How long a beginning waits that says nothing yet (see `MAY_WAIT`): most answers follow it within that, and a client
then wakes up once for each instead of twice."""
MAY_WAIT = "fairlead.may_wait"
"""A message with this member tells its client nothing that it could use before it loses the connection."""
HELD_KEY = "fairlead.held"
"""Where the ASGI scope has what tells a connection how many bytes of an answer wait elsewhere for it to take them."""
FLUSH_BYTES = 16 * 1024
"""From this size on nothing waits."""


class Response:
    """Stands before an ASGI `send`: turns errors that are not JSON into JSON, puts together what belongs together, and
    knows how far the answer got.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._replaced: Message | None = None
        self._text = b""
        self._waiting: list[Message] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        """Whether anything went out."""
        self._unhurried = False
        """Whether the timer leaves `OPENING_SECONDS`."""
        self._flush: asyncio.Task[None] | None = None
        self.status: int | None = None
        """Of the answer, once it began."""
        self.started = False
        self.finished = False
        """Whether the server has all of it; what still waits may yet be held up by a cancellation."""

    async def __call__(self, message: Message) -> None:
        """Pass a message on, now or soon."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if message["status"] >= 400 and not _is_json(message):
                self._replaced = message
                return
            self.started = True
        elif self._replaced is not None:
            self._text += message.get("body", b"")
            if message.get("more_body"):
                return
            await self._replace(self._replaced)
            return
        self._waiting.append(message)
        self._size += len(message.get("body", b""))
        if _is_last(message) or self._size > FLUSH_BYTES:
            await self._write()
        else:
            self._write_within(unhurried=MAY_WAIT in message)

    async def end_stream(self) -> None:
        """End an answer that has begun and was not ended, as its client expects."""
        if self.started and not self.finished:
            await self({"type": "http.response.body", "body": b"", "more_body": False})

    def close(self) -> None:
        """Nothing more will come; what still waits belongs to an answer that was given up."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _write_within(self, *, unhurried: bool) -> None:
        if self._timer is not None:
            if self._unhurried == unhurried:
                return
            self._timer.cancel()
        self._unhurried = unhurried
        hurried = FLUSH_SECONDS if self._begun else FIRST_SECONDS
        seconds = OPENING_SECONDS if unhurried else hurried
        self._timer = asyncio.get_running_loop().call_later(seconds, self._write_soon)

    def _write_soon(self) -> None:
        self._timer = None
        if self._flush is None:
            self._flush = asyncio.create_task(self._write())
            self._flush.add_done_callback(self._flushed)

    def _flushed(self, flush: asyncio.Task[None]) -> None:
        self._flush = None
        if not flush.cancelled() and flush.exception() is not None:
            logger.warning("An answer could not be written: %r", flush.exception())
        if self._waiting and self._timer is None:
            # It came while the client did not read.
            self._write_soon()

    async def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._flush is not None and self._flush is not asyncio.current_task():
            # It waits for the client to read.
            await asyncio.wait([self._flush])
        waiting, self._waiting, self._size = self._waiting, [], 0
        if self.finished:
            return
        try:
            self._begun = True
            if waiting and waiting[0]["type"] == "http.response.start":
                await self._send(waiting[0])
                waiting = waiting[1:]
            if waiting:
                body = b"".join(message.get("body", b"") for message in waiting)
                await self._send({**waiting[-1], "body": body})
                self.finished = _is_last(waiting[-1])
        except asyncio.CancelledError:
            # The server waited for the client and took nothing: whoever ends the answer sends this before.
            self._waiting = waiting + self._waiting
            raise

    async def _replace(self, start: Message) -> None:
        status = HTTPStatus(start["status"])
        body = {"error": status.phrase.lower().replace(" ", "_"), "message": self._text.decode() or status.phrase}
        content = json.dumps(body).encode()
        kept = [(name, value) for name, value in start["headers"] if name.lower() not in _BODY_HEADERS]
        headers = [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        self._replaced, self.started, self.finished = None, True, True
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body")


def _is_json(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"application/json")
        for name, value in start.get("headers", ())
    )


_BODY_HEADERS = {b"content-type", b"content-length"}
