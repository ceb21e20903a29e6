"""An upstream server with a bit of everything: `toolbox.py [--handshake-only]`; both protocol eras otherwise."""

import asyncio
import os
import sys
from typing import Annotated, Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, MCPServer, Resolve
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp_types import LoggingLevel
from pydantic import BaseModel

server = MCPServer("toolbox", title="Tool box", version="3.1", instructions="Use the right tool.", log_level="ERROR")
levels: list[str] = []
watched: list[str] = []
changes: list[str] = []


class Answer(BaseModel):
    text: str


async def question(about: str) -> Elicit[Answer]:
    return Elicit(f"What about {about}?", Answer)


@server.tool(annotations=types.ToolAnnotations(read_only_hint=True))
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def pid() -> int:
    """Which process it is."""
    return os.getpid()


@server.tool()
async def ask(about: str, answer: Annotated[ElicitationResult[Answer], Resolve(question)]) -> str:
    """Ask a person."""
    return f"{about}: {answer.data.text if answer.action == 'accept' else answer.action}"


@server.tool()
async def sample(prompt: str, ctx: Context) -> str:
    """Ask a model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message([message], max_tokens=10, related_request_id=ctx.request_id)
    return answer.content.text if isinstance(answer.content, types.TextContent) else "?"


@server.tool()
async def count(to: int, word: str, ctx: Context) -> str:
    """Report progress."""
    for step in range(1, to + 1):
        await ctx.report_progress(step, to, f"{word} {step}")
        await asyncio.sleep(0.01)
    return word


@server.tool()
async def wait(seconds: float, file: str) -> str:
    """Take long; when cancelled, write so into a file."""
    await anyio.Path(file).write_text("begun")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await anyio.Path(file).write_text("cancelled")
        raise
    return "waited"


@server.tool()
async def log(level: LoggingLevel, text: str, ctx: Context) -> str:
    """Write a log message, as part of the call."""
    await ctx.session.send_log_message(level, text, logger="box", related_request_id=ctx.request_id)
    return "logged"


@server.tool()
def level() -> str:
    """The level that was set last."""
    return levels[-1] if levels else "none"


@server.tool()
async def touch(uri: str, ctx: Context) -> str:
    """Say that a resource has changed."""
    await ctx.notify_resource_updated(uri)
    if uri in watched:
        await ctx.session.send_resource_updated(uri)
    return "touched"


@server.tool()
async def grow(name: str, ctx: Context) -> str:
    """Have one more tool."""
    server.add_tool(echo, name=name)
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.tool()
def die() -> None:
    """End at once."""
    os._exit(3)


@server.tool()
async def roots(ctx: Context) -> str:
    """The client's roots, and how often they changed."""
    listed = await ctx.session.list_roots()
    return " ".join([*(str(root.uri) for root in listed.roots), *changes])


@server.tool(name="odd name/with: signs")
def odd() -> str:
    """A tool that needs another name in the aggregate."""
    return "odd"


@server.prompt()
def greet(who: str) -> str:
    """Say hello."""
    return f"Hello {who}"


@server.resource("box://static")
def static() -> str:
    """Something that stays."""
    return "static"


@server.resource("box://items/{item}")
def one(item: str) -> str:
    """One of many."""
    return f"item {item}"


async def complete(_ctx: Any, params: types.CompleteRequestParams) -> types.CompleteResult:
    values = [f"{params.argument.value}-{params.ref.type}"]
    return types.CompleteResult(completion=types.Completion(values=values, total=1, has_more=False))


async def set_level(_ctx: Any, params: types.SetLevelRequestParams) -> types.EmptyResult:
    levels.append(params.level)
    return types.EmptyResult()


async def subscribe(_ctx: Any, params: types.SubscribeRequestParams) -> types.EmptyResult:
    watched.append(params.uri)
    return types.EmptyResult()


async def unsubscribe(_ctx: Any, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    watched.remove(params.uri)
    return types.EmptyResult()


async def roots_changed(_ctx: Any, _params: types.NotificationParams) -> None:
    changes.append("changed")


async def main() -> None:
    inner = server._lowlevel_server
    inner.add_request_handler("completion/complete", types.CompleteRequestParams, complete)
    inner.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    inner.add_request_handler("resources/subscribe", types.SubscribeRequestParams, subscribe)
    inner.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, unsubscribe)
    inner.add_notification_handler("notifications/roots/list_changed", types.NotificationParams, roots_changed)
    options = inner.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        if "--handshake-only" in sys.argv:
            await serve_loop(inner, read, write, lifespan_state={}, init_options=options)
        else:
            await inner.run(read, write, options)


if __name__ == "__main__":
    anyio.run(main)
