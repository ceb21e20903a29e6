"""Every answer of the public port that is not MCP's own: small JSON objects `{error, message}`."""

import json
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import Message, Send

from fairlead_sidecar.access.grants import Unauthenticated
from fairlead_sidecar.config import SidecarConfig

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


class Response:
    """Stands before an ASGI `send`: turns errors that are not JSON into JSON, and knows how far the answer got."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._replaced: Message | None = None
        self._text = b""
        self.status: int | None = None
        """Of the answer, once it began."""
        self.started = False
        self.finished = False

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {name.lower(): value for name, value in message.get("headers", ())}
            if message["status"] >= 400 and not headers.get(b"content-type", b"").startswith(b"application/json"):
                self._replaced = message
                return
            self.started = True
        elif self._replaced is not None:
            self._text += message.get("body", b"")
            if message.get("more_body"):
                return
            await self._replace(self._replaced)
            return
        elif not message.get("more_body"):
            self.finished = True
        await self._send(message)

    async def _replace(self, start: Message) -> None:
        status = HTTPStatus(start["status"])
        body = {"error": status.phrase.lower().replace(" ", "_"), "message": self._text.decode() or status.phrase}
        content = json.dumps(body).encode()
        kept = [(name, value) for name, value in start["headers"] if name.lower() not in _BODY_HEADERS]
        headers = [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        self._replaced, self.started, self.finished = None, True, True
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})


_BODY_HEADERS = {b"content-type", b"content-length"}
