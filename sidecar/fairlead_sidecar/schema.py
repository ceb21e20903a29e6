"""Tools and their results in the words of the protocol."""

import json
from functools import cache
from typing import Any

import mcp_types as types
from pydantic import BaseModel, Field

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.tools.spec import Result, Tool


class ErrorResult(Result):
    """The structured result of every failure."""

    code: str = Field(description="On failure: its name, e.g. host_unreachable.")
    message: str = Field(description="On failure: what happened.")
    hint: str = Field(description="On failure: what to do.")
    retriable: bool = Field(description="On failure: whether the same call may succeed later by itself.")


def listed(tool: Tool, host: str) -> types.Tool:
    """A tool as `tools/list` shows it."""
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=f"{tool.description} Host: {host}.",
        input_schema=_input_schema(tool),
        output_schema=output_schema(tool),
        annotations=tool.annotations,
    )


@cache
def _input_schema(tool: Tool) -> dict[str, Any]:
    return _plain(tool.arguments)


@cache
def output_schema(tool: Tool) -> dict[str, Any]:
    """JSON Schema of what a tool returns: its result, or an error, or (a timeout) both. Some clients check both."""
    success, failure = _plain(tool.result), _plain(ErrorResult)
    required = success.pop("required")
    success["properties"] |= {
        name: described for name, described in failure["properties"].items() if name not in success["properties"]
    }
    if tool.result.model_fields.keys() & ErrorResult.model_fields.keys() - Result.model_fields.keys():
        # `message` means one thing in a result and another in an error: say what is common to both.
        success["properties"]["message"] = {"type": "string", "description": "What is the case, and what to do."}
    success["anyOf"] = [{"required": required}, {"required": failure["required"]}]
    return success


def succeeded(result: Result) -> types.CallToolResult:
    """A result, structured and as the same JSON in text for clients that know no structured output."""
    return _result(result.model_dump(mode="json"), is_error=False)


def failed(error: FairleadError, host: str, partial: Result | None = None) -> types.CallToolResult:
    """A failure, with what was learned up to it."""
    described = ErrorResult(
        host=host, code=error.code, message=error.message, hint=error.hint, retriable=error.retriable
    ).model_dump(mode="json")
    return _result((partial.model_dump(mode="json") if partial else {}) | described, is_error=True)


def _result(structured: dict[str, Any], *, is_error: bool) -> types.CallToolResult:
    text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content=structured, is_error=is_error
    )


def _plain(model: type[BaseModel]) -> dict[str, Any]:
    """The model's schema without the titles that pydantic derives from names, which only cost a model's attention."""
    schema = model.model_json_schema(mode="serialization" if issubclass(model, Result) else "validation")
    _drop_titles(schema)
    schema.pop("description", None)
    return schema


def _drop_titles(node: object) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for key, child in node.items():
            if key == "properties" and isinstance(child, dict):
                for described in child.values():
                    _drop_titles(described)
            else:
                _drop_titles(child)
    elif isinstance(node, list):
        for child in node:
            _drop_titles(child)
