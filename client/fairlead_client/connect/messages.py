"""Reads JSON-RPC messages just as far as a bridge has to: what passes is the text itself, never a model of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Id = str | int | float

CONNECTION_CLOSED = -32000
"""The code that MCP's SDKs give to requests whose connection was lost."""
METHOD_NOT_FOUND = -32601
PARSE_ERROR = -32700
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
"""In `params._meta` of every request of the protocols from 2026-07-28 on."""
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"

_REPEATABLE = frozenset({"initialize", "server/discover", "ping", "subscriptions/listen"})


@dataclass(frozen=True)
class Message:
    """One line of the stdio transport: a message, or (2025-03-26) a batch of them."""

    text: str
    parts: tuple[Json, ...]

    @property
    def requests(self) -> tuple[Id, ...]:
        """The ids that want an answer."""
        return tuple(part["id"] for part in self.parts if "method" in part and part.get("id") is not None)

    @property
    def answers(self) -> tuple[Id, ...]:
        """The ids that this answers."""
        return tuple(part["id"] for part in self.parts if "method" not in part and part.get("id") is not None)

    @property
    def method(self) -> str:
        """Of a single message; empty for an answer and for a batch."""
        return str(self.parts[0].get("method", "")) if len(self.parts) == 1 else ""

    @property
    def params(self) -> Json:
        """Of a single message."""
        params = self.parts[0].get("params") if len(self.parts) == 1 else None
        return params if isinstance(params, dict) else {}

    @property
    def result(self) -> Json:
        """Of a single message that is a result."""
        result = self.parts[0].get("result") if len(self.parts) == 1 else None
        return result if isinstance(result, dict) else {}

    @property
    def modern_version(self) -> str | None:
        """The protocol version that the message carries itself, as those from 2026-07-28 on do."""
        meta = self.params.get("_meta")
        version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
        return version if isinstance(version, str) else None

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice is the same as doing it once."""
        return self.method in _REPEATABLE or self.method.endswith("/list")

    def answering(self, identifier: Id) -> "Message":
        """The same answer to the request it belongs to, where a server could not tell (`id` null)."""
        return self if identifier in self.answers else write({**self.parts[0], "id": identifier})


def read(text: str) -> Message:
    """Read a line, or what a server sent as one event or body.

    Raises:
        ValueError: It is no JSON-RPC message.
    """
    content = json.loads(text)
    parts = content if isinstance(content, list) else [content]
    if not parts or not all(isinstance(part, dict) for part in parts):
        msg = "a JSON-RPC message is an object"
        raise ValueError(msg)
    # A line break within JSON is mere space: strings hold none.
    return Message(text.strip().replace("\r", " ").replace("\n", " "), tuple(parts))


def error(identifier: Id | None, code: int, message: str) -> Message:
    """The answer to a request that got none."""
    return write({"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": message}})


def notification(method: str, params: Json | None = None) -> Message:
    """One of the bridge's own."""
    return write({"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params}))


def write(content: Json) -> Message:
    """A message of the bridge's own making."""
    return Message(json.dumps(content, ensure_ascii=False, separators=(",", ":")), (content,))


def errors(ids: tuple[Id, ...], code: int, message: str) -> Iterator[Message]:
    """The same error for each request."""
    return (error(identifier, code, message) for identifier in ids)
