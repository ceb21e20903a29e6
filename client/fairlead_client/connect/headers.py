"""The HTTP headers that mirror a message's body in the protocols from 2026-07-28 on (Streamable HTTP transport)."""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead_client.connect.messages import Message

PROTOCOL_VERSION = "MCP-Protocol-Version"
_METHOD, _NAME, _PARAMETER = "Mcp-Method", "Mcp-Name", "Mcp-Param-"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = re.compile(r"[\x20-\x7e]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ENCODED = re.compile(r"=\?base64\?.*\?=")
Path = tuple[str, ...]


class ParameterHeaders:
    """What the tools that were listed so far want to see of their arguments in headers (`x-mcp-header`)."""

    def __init__(self) -> None:
        self._by_tool: dict[str, dict[Path, str]] = {}

    def learn(self, result: Mapping[str, Any]) -> None:
        """Take note of a result of `tools/list`; others hold no tools and change nothing."""
        tools = result.get("tools")
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._by_tool[tool["name"]] = dict(_annotated(tool.get("inputSchema"), ()))

    def of(self, tool: object, arguments: object) -> dict[str, str]:
        """The headers of one call."""
        found = {}
        for path, name in self._by_tool.get(tool, {}).items() if isinstance(tool, str) else ():
            value = arguments
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, bool):
                found[_PARAMETER + name] = "true" if value else "false"
            elif isinstance(value, str | int | float):
                # As the server compares it: the value's JSON text, of a string the string.
                found[_PARAMETER + name] = encoded(str(value))
        return found


def modern_headers(message: Message, version: str, parameters: ParameterHeaders) -> dict[str, str]:
    """The headers of one request or notification."""
    headers = {PROTOCOL_VERSION: version}
    if message.method:
        headers[_METHOD] = encoded(message.method)
    name = message.params.get(_NAMED_BY.get(message.method, ""))
    if isinstance(name, str):
        headers[_NAME] = encoded(name)
    if message.method == "tools/call":
        headers |= parameters.of(name, message.params.get("arguments"))
    return headers


def encoded(value: str) -> str:
    """A value as a header can carry it: as it is, or as `=?base64?…?=` where HTTP would not keep it."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _annotated(schema: object, path: Path) -> Iterator[tuple[Path, str]]:
    if not isinstance(schema, dict):
        return
    name = schema.get("x-mcp-header")
    if path and isinstance(name, str) and _TOKEN.fullmatch(name):
        yield path, name
    properties = schema.get("properties")
    for key, value in properties.items() if isinstance(properties, dict) else ():
        yield from _annotated(value, (*path, key))
