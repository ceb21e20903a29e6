"""The fixture's tools that need their client's input first: `InputRequiredResult` of protocol version 2026-07-28."""

from typing import Any

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError

Answer = types.CallToolResult | types.InputRequiredResult


def add_to(server: MCPServer[Any]) -> None:
    """Add tools and prompt."""
    _add_single_questions(server)
    _add_states(server)
    _add_capabilities(server)

    @server.prompt()
    def test_input_required_result_prompt(ctx: Context[Any, Any]) -> str | types.InputRequiredResult:
        """Ask for its context."""
        answer = _elicited(ctx, "user_context")
        if answer is None:
            return _need(user_context=_form("What context should the prompt use?", "context"))
        return f"Context: {answer.get('context')}"


def _add_single_questions(server: MCPServer[Any]) -> None:
    @server.tool()
    def test_input_required_result_elicitation(ctx: Context[Any, Any]) -> Answer:
        """Ask for a name."""
        answer = _elicited(ctx, "user_name")
        return _said(f"Hello, {answer['name']}!") if answer else _need(user_name=_form("What is your name?", "name"))

    @server.tool()
    def test_input_required_result_sampling(ctx: Context[Any, Any]) -> Answer:
        """Ask the client's model."""
        answer = (ctx.input_responses or {}).get("capital_question")
        if isinstance(answer, types.CreateMessageResult) and isinstance(answer.content, types.TextContent):
            return _said(answer.content.text)
        return _need(capital_question=_sample("What is the capital of France?", 100))

    @server.tool()
    def test_input_required_result_list_roots(ctx: Context[Any, Any]) -> Answer:
        """Ask for roots."""
        answer = (ctx.input_responses or {}).get("client_roots")
        if isinstance(answer, types.ListRootsResult):
            return _said(", ".join(str(root.uri) for root in answer.roots))
        return _need(client_roots=types.ListRootsRequest())

    @server.tool()
    def test_input_required_result_multiple_inputs(ctx: Context[Any, Any]) -> Answer:
        """Ask for three things at once."""
        wanted = {
            "user_name": _form("What is your name?", "name"),
            "greeting": _sample("Generate a greeting", 50),
            "client_roots": types.ListRootsRequest(),
        }
        if set(wanted) <= set(ctx.input_responses or {}):
            return _said("All inputs were received.")
        return types.InputRequiredResult(input_requests=wanted, request_state="three questions")


def _add_states(server: MCPServer[Any]) -> None:
    """The SDK seals the state and refuses what it did not seal itself."""

    @server.tool()
    def test_input_required_result_request_state(ctx: Context[Any, Any]) -> Answer:
        """Ask, and remember."""
        return _remembering(ctx, "state-ok")

    @server.tool()
    def test_input_required_result_tampered_state(ctx: Context[Any, Any]) -> Answer:
        """Ask, and refuse another state."""
        return _remembering(ctx, "state-ok")

    @server.tool()
    def test_input_required_result_multi_round(ctx: Context[Any, Any]) -> Answer:
        """Ask twice."""
        if ctx.request_state == "round 1" and _elicited(ctx, "step1"):
            form = _form("Step 2: What is your favorite color?", "color")
            return types.InputRequiredResult(input_requests={"step2": form}, request_state="round 2")
        if ctx.request_state == "round 2" and _elicited(ctx, "step2"):
            return _said("Both answers were received.")
        form = _form("Step 1: What is your name?", "name")
        return types.InputRequiredResult(input_requests={"step1": form}, request_state="round 1")


def _add_capabilities(server: MCPServer[Any]) -> None:
    @server.tool()
    def test_input_required_result_capabilities(ctx: Context[Any, Any]) -> Answer:
        """Ask only for what the client can do."""
        able = ctx.client_capabilities
        wanted: types.InputRequests = {}
        if able and able.sampling is not None:
            wanted["greeting"] = _sample("Generate a greeting", 50)
        if able and able.elicitation is not None:
            wanted["user_name"] = _form("What is your name?", "name")
        return types.InputRequiredResult(input_requests=wanted) if wanted else _said("This client can do nothing.")

    @server.tool()
    def test_missing_capability(ctx: Context[Any, Any]) -> str:
        """Need a client that samples."""
        if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
            raise MCPError(
                code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                message="This tool needs a client that samples.",
                data={"requiredCapabilities": {"sampling": {}}},
            )
        return "ok"


def _remembering(ctx: Context[Any, Any], state: str) -> Answer:
    if ctx.request_state == state and _elicited(ctx, "confirm"):
        return _said(state)
    form = _form("Please confirm", "ok", "boolean")
    return types.InputRequiredResult(input_requests={"confirm": form}, request_state=state)


def _need(**wanted: types.InputRequest) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=dict(wanted))


def _elicited(ctx: Context[Any, Any], key: str) -> dict[str, Any] | None:
    answer = (ctx.input_responses or {}).get(key)
    return dict(answer.content or {}) if isinstance(answer, types.ElicitResult) and answer.action == "accept" else None


def _form(message: str, name: str, kind: str = "string") -> types.ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, max_tokens: int) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=text))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def _said(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])
