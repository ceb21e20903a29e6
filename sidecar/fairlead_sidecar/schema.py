"""Tools and their results in the words of the protocol.

Every agent that connects pays for the list of tools with its context window, so schemas are as short as clients that
check them allow: no titles, no defaults that are null, no definitions apart, and no fields of errors. An error's
fields are told once, in the server's instructions; some clients check errors too against the output schema, so it
asks for either an error's code or a result's fields.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import mcp_types as types
from pydantic import BaseModel

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.tools.command_result import Compact
from fairlead_sidecar.tools.spec import Result, Tool

_UNTOLD = frozenset({"title", "format", "minLength", "maxLength", "maxItems", "maxProperties"})
"""Keywords that are checked here, and told only to who oversteps them."""
_EXPECTED = (("default", False), ("default", 0), ("minimum", 0), ("exclusiveMinimum", 0))
"""What anybody expects: switches are off, offsets begin at 0, and nothing is less than that."""
_UNTOLD_OF_RESULTS = frozenset({"required", "additionalProperties", "minimum", "exclusiveMinimum", "default"})
_NULL = {"type": "null"}
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_CACHED = 256
"""Schemas that are kept: those of all tools and of the named commands of a few configurations."""


def listed(tools: Iterable[Tool], config: SidecarConfig, caller: Caller) -> list[types.Tool]:
    """Tools as `tools/list` shows them to the caller."""
    told: set[type[Result]] = set()
    shown = []
    for tool in tools:
        hidden = frozenset(tool.hidden(config.policy, caller)) if tool.hidden else frozenset()
        shown.append(
            types.Tool(
                name=tool.name,
                title=tool.title,
                description=f"{tool.description} Host: {config.name}.",
                input_schema=input_schema(tool, hidden),
                output_schema=output_schema(tool.result, brief=tool.result in told),
                annotations=annotations(tool),
            )
        )
        told.add(tool.result)
    return shown


def annotations(tool: Tool) -> types.ToolAnnotations:
    """What clients are told about a tool's effects; nothing that follows from its being read-only or from `title`."""
    idle = {"idempotent_hint": None} if tool.annotations.read_only_hint else {}
    return tool.annotations.model_copy(update={"title": None, **idle})


@lru_cache(_CACHED)
def input_schema(tool: Tool, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """JSON Schema of what a tool takes, but for the arguments named in `hidden`."""
    schema = _compact(tool.arguments, "validation")
    for name in hidden:
        schema["properties"].pop(name, None)
    return schema


@lru_cache(_CACHED)
def output_schema(result: type[Result], *, brief: bool = False) -> dict[str, Any]:
    """JSON Schema of what a tool returns: its result, or an error, or (a timeout) both.

    Args:
        brief: Without what another tool with the same result says already.
    """
    schema = _compact(result, "serialization", leaves_out=issubclass(result, Compact))
    del schema["properties"]["host"]
    if brief:
        said = schema["properties"].items()
        schema["properties"] = {name: {"type": field["type"]} for name, field in said if "type" in field}
    # One field tells a result as surely as all of them would: what tools return is checked by their own types.
    first = next(name for name, field in result.model_fields.items() if name != "host" and field.is_required())
    schema["anyOf"] = [{"required": ["code"]}, {"required": [first]}]
    return schema


def succeeded(result: Result) -> dict[str, Any]:
    """A result, structured and as the same JSON in text for clients that know no structured output."""
    return _result(result.model_dump(mode="json"), is_error=False)


def failed(error: FairleadError, host: str, partial: Result | None = None) -> dict[str, Any]:
    """A failure, with what was learned up to it."""
    structured = partial.model_dump(mode="json") if partial else {}
    return _result(structured | described_error(error, host), is_error=True)


def described_error(error: FairleadError, host: str) -> dict[str, Any]:
    """The structured result of a failure: its name, what happened, what to do, and whether to just try again."""
    return {
        "host": host,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retriable": error.retriable,
    }


def _result(structured: dict[str, Any], *, is_error: bool) -> dict[str, Any]:
    # In the protocol's own spelling: the SDK's model of it would only be taken apart again.
    text = _written(structured)
    return {
        "resultType": "complete",
        "content": [{"type": "text", "text": text}],
        "structuredContent": structured,
        "isError": is_error,
    }


def _compact(
    model: type[BaseModel], mode: Literal["validation", "serialization"], *, leaves_out: bool = True
) -> dict[str, Any]:
    """The schema of a model in few words.

    Args:
        leaves_out: Whether what is null by default is left out instead.
    """
    schema = model.model_json_schema(mode=mode)
    short = _Short(schema.pop("$defs", {}), of_result=mode == "serialization", leaves_out=leaves_out)
    compact = short.of(schema)
    compact.pop("description", None)
    return compact


@dataclass(frozen=True)
class _Short:
    """Makes schemas that accept the same in fewer words, or, without the keywords that go untold, more."""

    definitions: Mapping[str, Any]
    of_result: bool
    leaves_out: bool

    def of(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The short form of a schema."""
        if "$ref" in node:
            # A definition's own description is for who reads the code.
            referred = self.definitions[node["$ref"].rpartition("/")[2]]
            kept = {key: value for key, value in referred.items() if key != "description"}
            node = kept | {key: value for key, value in node.items() if key != "$ref"}
        short = {key: value for key, value in node.items() if key not in _UNTOLD and (key, value) not in _EXPECTED}
        if "properties" in short:
            short["properties"] = {name: self.of(child) for name, child in short["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(short.get(key), dict):
                short[key] = self.of(short[key])
        if "anyOf" in short:
            short = self._choice(short, [self.of(choice) for choice in short.pop("anyOf")])
        if self.of_result:
            untold = _UNTOLD_OF_RESULTS | ({"type"} if "enum" in short else set())
            short = {key: value for key, value in short.items() if key not in untold}
        return short

    def _choice(self, rest: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
        others = [choice for choice in choices if choice != _NULL]
        if self.leaves_out and len(others) < len(choices) and "default" in rest and rest["default"] is None:
            # It may be left out: nobody needs to be told that null does the same.
            del rest["default"]
            choices = others
        if len(choices) == 1:
            return rest | choices[0]
        if len(others) == 1 and "enum" not in others[0] and isinstance(others[0].get("type"), str):
            return rest | others[0] | {"type": [others[0]["type"], "null"]}
        if len(others) == 1 and "enum" in others[0]:
            return rest | others[0] | {"enum": [*others[0]["enum"], None]}
        return rest | {"anyOf": choices}
