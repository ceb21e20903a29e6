"""How an MCP server of a host stands."""

from typing import Annotated

from pydantic import Field

from fairlead_api.base import ListType, ObservedModel
from fairlead_api.meta import Condition


class ServerInfo(ObservedModel):
    """What an MCP server says of itself."""

    name: Annotated[str, Field(max_length=256, description="What the server calls itself.")]
    version: Annotated[str | None, Field(max_length=256, description="Its version.")] = None


class McpServerStatus(ObservedModel):
    """How one server of spec.mcpServers stands."""

    name: Annotated[str, Field(max_length=32, description="Its name in spec.mcpServers.")]
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=8, description="Ready."), ListType("map", ("type",))
    ] = ()
    server_info: Annotated[
        ServerInfo | None, Field(description="What the server says of itself in the MCP handshake.")
    ] = None
    protocol_version: Annotated[
        str | None, Field(max_length=64, description="The MCP version that is spoken with it.")
    ] = None
    tool_count: Annotated[int | None, Field(ge=0, description="How many tools it offers.")] = None
