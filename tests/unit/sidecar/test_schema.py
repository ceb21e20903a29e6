"""What is announced about the tools, and that results keep to it."""

import jsonschema
import pytest

from fairlead_sidecar import schema
from fairlead_sidecar.config import ToolGroup
from fairlead_sidecar.errors import HostUnreachable
from fairlead_sidecar.tools.catalogue import TOOLS, offered, scope_text
from fairlead_sidecar.tools.spec import Tool


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_schemas_are_valid_and_an_error_keeps_to_the_output_schema(tool: Tool) -> None:
    listed = schema.listed(tool, "web-01")
    jsonschema.Draft202012Validator.check_schema(listed.input_schema)
    assert listed.input_schema["additionalProperties"] is False
    assert listed.output_schema is not None
    failure = schema.failed(HostUnreachable("down"), "web-01")
    assert failure.is_error
    jsonschema.validate(failure.structured_content, listed.output_schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"host": "web-01"}, listed.output_schema)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_every_argument_is_described(tool: Tool) -> None:
    for name, described in schema.listed(tool, "web-01").input_schema["properties"].items():
        assert described.get("description"), name
        assert "title" not in described


def test_text_and_structure_say_the_same() -> None:
    result = schema.failed(HostUnreachable("grün"), "web-01")
    (text,) = result.content
    assert text.type == "text"
    assert '"message":"grün"' in text.text


def test_a_host_without_groups_has_the_connection_tools_only() -> None:
    assert set(offered([])) == {"connection_status"}
    assert set(offered([ToolGroup.EXECUTE])) == {"connection_status", "execute_command"}


def test_scopes_keep_the_order_of_the_table() -> None:
    assert scope_text({tool.permission for tool in TOOLS.values()}) == (
        "fairlead:view fairlead:read fairlead:execute fairlead:write"
    )
