"""The MCP server of a sidecar, for any transport and both protocol eras."""

from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server.lowlevel.server import Server

from fairlead_sidecar import schema
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.protocol.caller import Callers, Context
from fairlead_sidecar.protocol.calls import Calls
from fairlead_sidecar.protocol.instructions import instructions
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.tools.catalogue import offered


def build_server(sidecar: Sidecar, *, local_caller: Caller | None = None) -> Server[Any]:
    """The MCP server of a sidecar.

    Args:
        local_caller: Who it is when messages do not come over HTTP (stdio); None refuses them.
    """
    callers = Callers(sidecar, local_caller)

    async def list_tools(ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        active, caller = callers.who(ctx)
        tools = offered(active.tools, caller)
        listed = [schema.listed(tool, active.config, caller) for tool in tools]
        return types.ListToolsResult(tools=listed)

    server: Server[Any] = Server(
        "fairlead",
        version=version("fairlead"),
        on_list_tools=list_tools,
        on_call_tool=Calls(callers).call_tool,
        # Else the SDK runs tools/list before each call only to look for a header feature that no tool uses.
        get_tool_input_schema=lambda _name: None,
    )

    def introduce(active: Active) -> None:
        server.title = f"{active.config.namespace}/{active.config.name}"
        server.instructions = instructions(active.config)

    sidecar.on_active.append(introduce)
    if sidecar.active is not None:
        introduce(sidecar.active)
    return server
