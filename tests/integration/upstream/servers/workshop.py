"""An MCP server over stdio, made with the SDK: `workshop.py [--handshake-only]`; both protocol eras otherwise."""

import asyncio
import os
import sys
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged

TOOLS = ["echo", "count", "wait", "cancelled", "ask", "sample", "roots", "grow", "log", "touch", "add", "capabilities"]
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}}

bus = InMemorySubscriptionBus()
names = list(TOOLS)
state = {"cancelled": 0, "counter": 0}


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    half = len(names) // 2
    if params is not None and params.cursor == "second":
        return types.ListToolsResult(tools=[_tool(name) for name in names[half:]])
    return types.ListToolsResult(tools=[_tool(name) for name in names[:half]], next_cursor="second")


def _tool(name: str) -> types.Tool:
    return types.Tool(name=name, title=name.title(), input_schema=SCHEMA, _meta={"example.com/shelf": 3})


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = params.arguments or {}
    text = await TOOLBOX[params.name](ctx, arguments)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text, _meta={"example.com/weight": 1.5})],
        structured_content={"text": text, "nested": {"list": [1, None, "ü"]}},
        _meta={"example.com/tool": params.name},
    )


async def _echo(ctx: Any, arguments: dict[str, Any]) -> str:
    return str(arguments.get("text", "")) * int(arguments.get("n", 1))


async def _count(ctx: Any, arguments: dict[str, Any]) -> str:
    for step in range(1, arguments["n"] + 1):
        await ctx.session.report_progress(step, arguments["n"], f"{arguments.get('text', '')} {step}")
    return "counted"


async def _wait(ctx: Any, arguments: dict[str, Any]) -> str:
    try:
        await ctx.session.report_progress(0, None, "begun")
        await asyncio.sleep(arguments.get("n", 60))
    except asyncio.CancelledError:
        state["cancelled"] += 1
        raise
    return "waited"


async def _cancelled(ctx: Any, arguments: dict[str, Any]) -> str:
    return str(state["cancelled"])


async def _ask(ctx: Any, arguments: dict[str, Any]) -> str:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    answer = await ctx.session.elicit_form(f"Who is {arguments['text']}?", schema, ctx.request_id)
    return f"{answer.action}: {answer.content}"


async def _sample(ctx: Any, arguments: dict[str, Any]) -> str:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=arguments["text"]))
    answer = await ctx.session.create_message([message], max_tokens=10, related_request_id=ctx.request_id)
    return f"{answer.model}: {answer.content.text}"


async def _roots(ctx: Any, arguments: dict[str, Any]) -> str:
    return " ".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)


async def _grow(ctx: Any, arguments: dict[str, Any]) -> str:
    names.append(arguments["text"])
    TOOLBOX[arguments["text"]] = _echo
    await bus.publish(ToolsListChanged())
    if ctx.protocol_version != "2026-07-28":
        await ctx.session.send_tool_list_changed()
    return "grown"


async def _log(ctx: Any, arguments: dict[str, Any]) -> str:
    await ctx.session.send_log_message("info", arguments["text"], related_request_id=ctx.request_id)
    return "logged"


async def _touch(ctx: Any, arguments: dict[str, Any]) -> str:
    await bus.publish(ResourceUpdated(uri=arguments["text"]))
    if ctx.protocol_version != "2026-07-28":
        await ctx.session.send_resource_updated(arguments["text"])
    return "touched"


async def _add(ctx: Any, arguments: dict[str, Any]) -> str:
    state["counter"] += 1
    return f"{state['counter']} {os.getpid()}"


async def _capabilities(ctx: Any, arguments: dict[str, Any]) -> str:
    capabilities = ctx.session.client_capabilities
    return str(capabilities.model_dump_json(by_alias=True, exclude_none=True)) if capabilities else ""


TOOLBOX = {name: globals()[f"_{name}"] for name in TOOLS}


async def list_prompts(ctx: Any, params: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[types.Prompt(name="greet", description="Says hello")])


async def get_prompt(ctx: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    text = types.TextContent(type="text", text=f"Hello {(params.arguments or {}).get('who')}")
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text)])


async def list_resources(ctx: Any, params: Any) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=[types.Resource(uri="shop://stock", name="stock")])


async def read_resource(ctx: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=f"at {params.uri}")])


async def subscribe(ctx: Any, params: Any) -> types.EmptyResult:
    return types.EmptyResult()


def make() -> Server[Any]:
    return Server(
        "workshop",
        version="1.2.3",
        instructions="Use the tools.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=subscribe,
        on_subscriptions_listen=ListenHandler(bus),
    )


async def main() -> None:
    server = make()
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        if "--handshake-only" in sys.argv:
            await serve_loop(server, read, write, lifespan_state={}, init_options=options)
        else:
            await server.run(read, write, options)


if __name__ == "__main__":
    anyio.run(main)
