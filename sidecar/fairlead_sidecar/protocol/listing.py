"""What a caller sees of a host: its tools, prompts and resources."""

from dataclasses import dataclass
from typing import Literal

import mcp_types as types
from pydantic import BaseModel

from fairlead_sidecar import schema
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.protocol import prompts, resources
from fairlead_sidecar.protocol.addressing import Directory
from fairlead_sidecar.protocol.caller import Callers, Context
from fairlead_sidecar.protocol.upstream_lists import digests
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.catalogue import offered

Kind = Literal["tools", "prompts", "resources"]
KINDS: tuple[Kind, ...] = ("tools", "prompts", "resources")
_METHODS: dict[Kind, tuple[str, ...]] = {
    "tools": ("tools/list",),
    "prompts": ("prompts/list",),
    "resources": ("resources/list", "resources/templates/list"),
}


def tools(active: Active, caller: Caller) -> list[types.Tool]:
    """What `tools/list` gives."""
    return schema.listed(offered(active.tools, caller), active.config, caller)


def fingerprint(
    active: Active, caller: Caller | None, directory: Directory, server: str | None = None
) -> dict[Kind, str]:
    """Something that differs whenever what the caller sees does; a caller that is gone sees nothing.

    Args:
        directory: What upstream servers offer.
        server: The one of them that the caller sees alone.
    """
    if caller is None:
        return dict.fromkeys(KINDS, "")
    upstream = {kind: digests(methods, directory, active, caller, server) for kind, methods in _METHODS.items()}
    if server is not None:
        return upstream
    seen: dict[Kind, list[BaseModel]] = {
        "tools": [*tools(active, caller)],
        "prompts": [*prompts.listed(active, caller)],
        "resources": [*resources.entry_points(active, caller), *resources.templates(active, caller)],
    }
    return {
        kind: "\n".join([*(item.model_dump_json() for item in items), upstream[kind]]) for kind, items in seen.items()
    }


@dataclass(frozen=True)
class Listing:
    """Serves the four lists; none is so long that it would need pages."""

    callers: Callers

    async def list_tools(self, ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """The tools that this caller may use; what it may not use is absent."""
        return types.ListToolsResult(tools=tools(*self.callers.who(ctx)))

    async def list_prompts(self, ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        """The prompts whose tools this caller may use."""
        return types.ListPromptsResult(prompts=prompts.listed(*self.callers.who(ctx)))

    async def list_resources(
        self, ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """A few directories to begin at."""
        return types.ListResourcesResult(resources=resources.entry_points(*self.callers.who(ctx)))

    async def list_templates(
        self, ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """The template of all files."""
        return types.ListResourceTemplatesResult(resource_templates=resources.templates(*self.callers.who(ctx)))
