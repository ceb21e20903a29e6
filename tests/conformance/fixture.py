"""An MCP server with what the conformance suite expects to find: its test tools, resources and prompts.

Only for `test_conformance`: it stands behind Fairlead's own gate and transports in the place of the product's server.
"""

import asyncio
import base64
import json
from typing import Any, Literal

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.mcpserver import Context, UserMessage
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from pydantic import BaseModel, Field

from fairlead_sidecar.sidecar import Sidecar
from tests.conformance import input_required

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="  # one pixel
WAV = base64.b64encode(
    b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    b"@\x1f\x00\x00@\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"
).decode()


class Person(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class WithDefaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def make_server(_sidecar: Sidecar) -> Server[Any]:
    """In the place of `fairlead_sidecar.mcp_server.build_server`."""
    server = MCPServer("conformance-fixture", version="0", log_level="WARNING")
    _add_contents(server)
    _add_conversations(server)
    _add_resources(server)
    _add_prompts(server)
    input_required.add_to(server)
    return _with_subscriptions(server)


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _embedded(uri: str, mime_type: str, text: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return types.EmbeddedResource(type="resource", resource=contents)


def _image() -> types.ImageContent:
    return types.ImageContent(type="image", data=PNG, mime_type="image/png")


def _add_contents(server: MCPServer[Any]) -> None:
    """Tools that return each kind of content."""

    @server.tool()
    def test_simple_text() -> str:
        """Return text."""
        return "This is a simple text response for testing."

    @server.tool()
    def test_image_content() -> types.CallToolResult:
        """Return an image."""
        return types.CallToolResult(content=[_image()])

    @server.tool()
    def test_audio_content() -> types.CallToolResult:
        """Return sound."""
        return types.CallToolResult(content=[types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")])

    @server.tool()
    def test_embedded_resource() -> types.CallToolResult:
        """Return a resource."""
        content = _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        return types.CallToolResult(content=[content])

    @server.tool()
    def test_multiple_content_types() -> types.CallToolResult:
        """Return text, an image and a resource."""
        resource = _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
        return types.CallToolResult(content=[_text("Multiple content types test:"), _image(), resource])

    @server.tool()
    def test_error_handling() -> str:
        """Fail."""
        raise ToolError("This tool intentionally returns an error for testing")

    def json_schema_2020_12_tool(name: str = "", address: dict[str, str] | None = None) -> str:
        return "ok"

    schema_tool = Tool.from_function(json_schema_2020_12_tool, description="Tool with JSON Schema 2020-12 features")
    address = {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}
    schema_tool.parameters = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": address},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "additionalProperties": False,
    }
    server._tool_manager._tools[schema_tool.name] = schema_tool


def _add_conversations(server: MCPServer[Any]) -> None:
    """Tools that tell or ask their client something while they run."""

    @server.tool()
    async def test_tool_with_logging(ctx: Context[Any, Any]) -> str:
        """Send log messages."""
        for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.log("info", message)
            await asyncio.sleep(0.05)
        return "ok"

    @server.tool()
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> str:
        """Report progress."""
        for progress in (0, 50, 100):
            await ctx.report_progress(progress, 100)
            await asyncio.sleep(0.05)
        return "ok"

    @server.tool()
    async def test_reconnection(ctx: Context[Any, Any]) -> str:
        """End the stream before the answer."""
        await ctx.close_sse_stream()
        await asyncio.sleep(0.1)
        return "done"

    @server.tool()
    async def test_sampling(prompt: str, ctx: Context[Any, Any]) -> str:
        """Ask the client's model."""
        message = types.SamplingMessage(role="user", content=_text(prompt))
        answer = await ctx.session.create_message(
            [message], max_tokens=100, related_request_id=ctx.request_context.request_id
        )
        assert isinstance(answer.content, types.TextContent)
        return f"LLM response: {answer.content.text}"

    @server.tool()
    async def test_elicitation(message: str, ctx: Context[Any, Any]) -> str:
        """Ask the user."""
        return f"User response: {await ctx.elicit(message, Person)}"

    @server.tool()
    async def test_elicitation_sep1034_defaults(ctx: Context[Any, Any]) -> str:
        """Ask the user, with defaults."""
        return f"Elicitation completed: action={(await ctx.elicit('Please confirm', WithDefaults)).action}"

    @server.tool()
    async def test_elicitation_sep1330_enums(ctx: Context[Any, Any]) -> str:
        """Ask the user to choose."""
        answer = await ctx.session.elicit_form(
            "Please choose", _choices(), related_request_id=ctx.request_context.request_id
        )
        return f"Elicitation completed: action={answer.action}, content={answer.content}"


def _choices() -> dict[str, Any]:
    titles = ((1, "First"), (2, "Second"), (3, "Third"))
    options = [{"const": f"value{number}", "title": f"{title} Option"} for number, title in titles]
    choices = [{"const": f"value{number}", "title": f"{title} Choice"} for number, title in titles]
    legacy = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    properties = {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": options},
        "legacyEnum": {"type": "string", **legacy},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": choices}},
    }
    return {"type": "object", "properties": properties}


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", description="Text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="An image", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PNG)

    @server.resource("test://watched-resource", description="To subscribe to", mime_type="text/plain")
    def watched_resource() -> str:
        return "watched"

    @server.resource("test://template/{id}/data", description="A template", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - the suite's name
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """Return a message."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """Return the arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        """Return a resource."""
        resource = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:
        """Return an image."""
        return [UserMessage(_image()), UserMessage("Please analyze the image above.")]


def _with_subscriptions(server: MCPServer[Any]) -> Server[Any]:
    """The low-level server, with the requests of older protocols that `MCPServer` does not answer."""

    async def complete(_ctx: ServerRequestContext[Any, Any], _params: Any) -> types.CompleteResult:
        return types.CompleteResult(completion=types.Completion(values=["paris", "park"], total=2, has_more=False))

    async def accept(_ctx: ServerRequestContext[Any, Any], _params: Any) -> types.EmptyResult:
        return types.EmptyResult()

    low: Server[Any] = server._lowlevel_server
    low.add_request_handler("completion/complete", types.CompleteRequestParams, complete)
    low.add_request_handler("logging/setLevel", types.SetLevelRequestParams, accept)
    low.add_request_handler("resources/subscribe", types.SubscribeRequestParams, accept)
    low.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, accept)
    return low
