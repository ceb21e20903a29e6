"""What is announced about the tools, and that results keep to it."""

import json
from typing import Annotated

import jsonschema
import mcp_types as types
import pytest
from pydantic import Field

from fairlead_sidecar import schema
from fairlead_sidecar.access.grants import LOCAL_CALLER
from fairlead_sidecar.config import KnownHosts, LocalAccount, SidecarConfig, Target
from fairlead_sidecar.errors import HostUnreachable
from fairlead_sidecar.tools.catalogue import TOOLS, scope_text
from fairlead_sidecar.tools.spec import Arguments, Result, Tool

CONFIG = SidecarConfig(
    instance="uid",
    namespace="shop",
    name="web-01",
    target=Target(address="web-01.internal", username="deploy"),
    auth=LocalAccount(),
    host_key=KnownHosts(),
)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_schemas_are_valid_and_an_error_keeps_to_the_output_schema(tool: Tool) -> None:
    (listed,) = schema.listed([tool], CONFIG, LOCAL_CALLER)
    jsonschema.Draft202012Validator.check_schema(listed.input_schema)
    assert listed.input_schema["additionalProperties"] is False
    assert listed.output_schema is not None
    jsonschema.Draft202012Validator.check_schema(listed.output_schema)
    failure = schema.failed(HostUnreachable("down"), "web-01")
    assert failure["isError"]
    jsonschema.validate(failure["structuredContent"], listed.output_schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"host": "web-01"}, listed.output_schema)


NAMED_WELL = {
    *("content", "create_parents", "encoding", "exist_ok", "ignore_case", "limit", "max_depth", "max_lines"),
    *("max_size", "min_size", "modified_before", "type"),
}
"""Arguments whose name and type say it all: each description is paid for by every agent that connects."""


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_every_argument_is_described_or_named_well(tool: Tool) -> None:
    for name, described in schema.input_schema(tool)["properties"].items():
        assert described.get("description") or name in NAMED_WELL, name
        assert "title" not in described


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_clients_are_told_of_every_tool_whether_it_changes_the_host(tool: Tool) -> None:
    told = schema.annotations(tool)
    assert None not in (told.read_only_hint, told.destructive_hint, told.open_world_hint)
    assert not (told.read_only_hint and told.destructive_hint)


def test_text_and_structure_say_the_same() -> None:
    result = types.CallToolResult.model_validate(schema.failed(HostUnreachable("grün"), "web-01"))
    (text,) = result.content
    assert isinstance(text, types.TextContent)
    assert '"message":"grün"' in text.text
    assert json.loads(text.text) == result.structured_content


class _Part(Arguments):
    """A part, for who reads the code."""

    title: str
    maximum: int | None = None


class _Arguments(Arguments):
    part: Annotated[_Part | None, Field(description="One.")] = None
    parts: Annotated[list[_Part], Field(description="Many.", max_length=3)]
    either: Annotated[int | str | None, Field(description="Any.")] = None
    count: Annotated[int | None, Field(description="Some.", ge=2)]
    flag: Annotated[bool, Field(description="Off.")] = False
    size: Annotated[int, Field(description="Bytes.", ge=0, le=9)] = 0


class _Result(Result):
    title: str | None
    parts: list[_Part]


def _tool() -> Tool:
    like = TOOLS["connection_status"]
    return Tool(
        name="t",
        title="T",
        description="D",
        group=None,
        permission=like.permission,
        annotations=like.annotations,
        arguments=_Arguments,
        result=_Result,
        run=like.run,
        hidden=lambda policy, caller: {"either"} if not policy.read_only and not caller.is_probe else (),
    )


def test_the_schema_of_arguments_says_what_is_taken_in_few_words() -> None:
    part = {
        "additionalProperties": False,
        "type": "object",
        "properties": {"title": {"type": "string"}, "maximum": {"type": "integer"}},
        "required": ["title"],
    }
    assert schema.input_schema(_tool()) == {
        "additionalProperties": False,
        "type": "object",
        "properties": {
            "part": {"description": "One."} | part,
            "parts": {"description": "Many.", "type": "array", "items": part},
            "either": {"description": "Any.", "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "count": {"description": "Some.", "type": ["integer", "null"], "minimum": 2},
            "flag": {"description": "Off.", "type": "boolean"},
            "size": {"description": "Bytes.", "type": "integer", "maximum": 9},
        },
        "required": ["parts", "count"],
    }


def test_the_schema_of_a_result_takes_a_result_or_an_error_and_nothing_else() -> None:
    announced = schema.output_schema(_Result)
    jsonschema.validate({"host": "h", "title": None, "parts": [{"title": "a", "maximum": None}]}, announced)
    jsonschema.validate({"host": "h", "code": "x", "message": "m", "hint": "", "retriable": False}, announced)
    for wrong in ({"host": "h"}, {"host": "h", "title": 1}, {"host": "h", "title": None, "parts": [1]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, announced)


def test_an_argument_without_use_under_the_policy_is_not_shown() -> None:
    (listed,) = schema.listed([_tool()], CONFIG, LOCAL_CALLER)
    assert set(listed.input_schema["properties"]) == {"part", "parts", "count", "flag", "size"}
    read_only = CONFIG.model_copy(update={"policy": CONFIG.policy.model_copy(update={"read_only": True})})
    (listed,) = schema.listed([_tool()], read_only, LOCAL_CALLER)
    assert "either" in listed.input_schema["properties"]


def test_a_result_that_several_tools_have_is_described_once() -> None:
    first, second = schema.listed([_tool(), _tool()], CONFIG, LOCAL_CALLER)
    assert first.output_schema is not None
    assert second.output_schema is not None
    assert first.output_schema["properties"]["parts"]["items"]["properties"]["title"] == {"type": "string"}
    assert second.output_schema == first.output_schema | {
        "properties": {"title": {"type": ["string", "null"]}, "parts": {"type": "array"}}
    }


def test_scopes_keep_the_order_of_the_table() -> None:
    assert scope_text({tool.permission for tool in TOOLS.values()}) == (
        "fairlead:view fairlead:read fairlead:execute fairlead:write"
    )


def test_the_list_of_tools_stays_short() -> None:
    """Less than 5,000 tokens: a token is a good four characters here; `make bench` counts them exactly."""
    tools = schema.listed(TOOLS.values(), CONFIG, LOCAL_CALLER)
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert len(json.dumps(listed, separators=(",", ":"), ensure_ascii=False)) < 20_500
