"""JSON-RPC messages as bytes, and answers that stand for a server that can't answer.

Results of 10 MB and more pass, so no step here makes a copy that it can do without.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeGuard

from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.upstream.errors import ProtocolError, UpstreamError

Answer = JSONRPCResponse | JSONRPCError
"""To a request."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Of one message from a server; a longer one is an error, before it is all held."""
MAX_CONTAINERS, MAX_MEMBERS = 1_000_000, 8_000_000
"""Lists and objects of a message, and what they hold: each takes many times its bytes, and time for which all wait.
Text with as many brackets or commas counts as such."""
MAX_DEPTH = 200
"""Of lists and objects in each other: as deep as the quicker parser reads, and less than what can be written again."""
_QUOTED_BYTES = 16 * 1024
"""Far more than is shown: a secret in it must be whole to be masked."""
_LONG_BYTES = 256 * 1024
# It begins with letters that are the same in all cases: only so does a search in megabytes take no time.
_LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][\da-fA-F]{2}\\u[dD])[c-fC-F][\da-fA-F]{2})"
)
MAX_LONE_SURROGATES = 10_000
"""How many of a message are replaced; one with more is an error."""


def parse(data: bytes | bytearray, mask: Callable[[str], str] = str) -> JSONRPCMessage:
    """Read one message. A bytearray is empty afterwards: a long one is let go of before its content is made.

    Args:
        data: The message.
        mask: Takes the secrets out of what an error shows of it.

    Raises:
        ProtocolError: It is no JSON, or no JSON-RPC message.
    """
    start = bytes(data[:_QUOTED_BYTES])
    try:
        value = _load(data)
    except (ValueError, RecursionError) as error:
        why = str(error)[:100]
        raise ProtocolError(f"The server sent something that is no JSON ({why}): {_shown(start, mask)}.") from None
    try:
        return jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        raise ProtocolError(f"The server sent JSON that is no JSON-RPC message: {_shown(start, mask)}.") from None


def _load(data: bytes | bytearray) -> Any:
    # Straight to Python's objects: the adapter's own JSON parser holds every long string once more.
    if len(data) < _LONG_BYTES:
        try:
            return from_json(data)
        except ValueError:
            return from_json(_whole(data.decode()))
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS or data.count(b",") > MAX_MEMBERS:
        raise ValueError(f"more than {MAX_CONTAINERS} lists and objects, or {MAX_MEMBERS} values in them")
    text = data.decode()
    if isinstance(data, bytearray):
        data.clear()
    # The quicker parser needs twice a long string's room beside it.
    value = from_json(_whole(text)) if _LONE_SURROGATE.search(text) else json.loads(text)
    if text.count("[") + text.count("{") > MAX_DEPTH and _too_deep(value):
        raise RecursionError(f"more than {MAX_DEPTH} lists and objects in each other")
    return value


def _whole(text: str) -> str:
    """JSON without lone surrogates, each of which becomes U+FFFD.

    Programs whose strings are UTF-16 write them where they have cut one in the middle of a character. Neither UTF-8 nor
    most clients know them.
    """

    def replaced(match: re.Match[str]) -> str:
        before = match.start()
        while before and text[before - 1] == "\\":
            before -= 1
        # Behind an odd number of backslashes it is no escape, but what an escaped backslash is followed by.
        return match[0] if (match.start() - before) % 2 else "\\ufffd"

    return _LONE_SURROGATE.sub(replaced, text, count=MAX_LONE_SURROGATES)


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = [item for item in level if isinstance(item, (dict, list))]
        level = [member for item in inner for member in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return False
    return True


def render(message: JSONRPCMessage) -> bytes:
    """Write one message as a single line of JSON, without a line end.

    Raises:
        InvalidRequest: It has text that can't be written.
    """
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except PydanticSerializationError:
        raise InvalidRequest(
            "The arguments hold half of a character (a lone surrogate), which no UTF-8 has.",
            hint="Send the character whole, or leave it out.",
        ) from None


def failure(request_id: RequestId, error: UpstreamError) -> JSONRPCError:
    """The answer to a request that the server can't answer; `upstream_failure` finds the error in it again."""
    # The object itself, not its words: nothing that a server sends can be mistaken for it.
    data = ErrorData(code=CONNECTION_CLOSED, message=error.message, data=error)
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=data)


def upstream_failure(error: MCPError) -> UpstreamError | None:
    """The failure that a wire answered a request with; None: the error is the server's own."""
    data = error.error.data
    return type(data)(data.message, hint=data.hint) if isinstance(data, UpstreamError) else None


def request_id_of(message: JSONRPCMessage) -> RequestId | None:
    """The id of a request; None for every other message."""
    return message.id if isinstance(message, JSONRPCRequest) else None


def is_answer(message: JSONRPCMessage) -> TypeGuard[Answer]:
    """Whether it answers a request."""
    return isinstance(message, (JSONRPCResponse, JSONRPCError))


def cancellation(request_id: RequestId) -> JSONRPCNotification:
    """What tells a server that nobody waits for an answer any more."""
    params = {"requestId": request_id, "reason": "caller cancelled"}
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params)


def is_notification(message: JSONRPCMessage, method: str) -> bool:
    """Whether it is this notification."""
    return isinstance(message, JSONRPCNotification) and message.method == method


def _shown(start: bytes, mask: Callable[[str], str]) -> str:
    return quoted(mask(start.decode(errors="replace")))
