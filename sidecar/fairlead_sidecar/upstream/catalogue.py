"""What a server offers, fetched page by page within bounds."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp_types import METHOD_NOT_FOUND

from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.negotiation import ParamHeaders
from fairlead_sidecar.upstream.spec import Catalogue, Json

logger = logging.getLogger(__name__)

MAX_PAGES = 1000

Ask = Callable[[str, Json | None], Awaitable[Json]]


@dataclass(frozen=True)
class Kind:
    """One of the lists.

    Attributes:
        name: The field of `Catalogue`.
        capability: What a server declares that has it.
        method: The request.
        items: The result's field.
        key: The field that identifies an item.
        limit: How many are kept.
    """

    name: str
    capability: str
    method: str
    items: str
    key: str
    limit: int


KINDS = (
    Kind("tools", "tools", "tools/list", "tools", "name", 1000),
    Kind("prompts", "prompts", "prompts/list", "prompts", "name", 1000),
    Kind("resources", "resources", "resources/list", "resources", "uri", 10_000),
    Kind("templates", "resources", "resources/templates/list", "resourceTemplates", "uriTemplate", 1000),
)
CHANGES = {f"notifications/{capability}/list_changed": capability for capability in ("tools", "prompts", "resources")}
"""Notification -> the capability whose lists have changed."""


async def fetched(catalogue: Catalogue, capabilities: Collection[str], ask: Ask, server: str) -> Catalogue:
    """The catalogue with the lists of some capabilities fetched anew.

    Args:
        catalogue: What is known; its capabilities say what the server has.
        capabilities: Whose lists to fetch: `tools`, `prompts`, `resources`.
        ask: Sends a request.
        server: Its name, for the log.

    Raises:
        UpstreamError: As `ask`; ProtocolError if an answer is no list.
    """
    lists: dict[str, tuple[Json, ...]] = {}
    for kind in KINDS:
        if kind.capability in capabilities and kind.capability in catalogue.capabilities:
            try:
                lists[kind.name] = tuple([item async for item in _items(kind, ask, server)])
            except MCPError as error:
                # Many servers have resources without templates, and say so only here.
                level = logging.DEBUG if error.code == METHOD_NOT_FOUND else logging.WARNING
                logger.log(level, "MCP server %s: %s failed: %s", server, kind.method, error.message)
    return replace(catalogue, **lists)  # type: ignore[arg-type] # the names are those of its tuples of items


async def _items(kind: Kind, ask: Ask, server: str) -> Any:
    seen: set[Any] = set()
    cursors: set[str] = set()
    params: Json | None = None
    for _ in range(MAX_PAGES):
        page = await ask(kind.method, params)
        items = page.get(kind.items)
        if not isinstance(items, list):
            raise ProtocolError(f"The server's answer to {kind.method} has no list {kind.items!r}.")
        for item in items:
            if not _usable(kind, item):
                logger.warning("MCP server %s lists something unusable in %s; it is left out", server, kind.items)
            elif item[kind.key] not in seen:
                seen.add(item[kind.key])
                yield item
            if len(seen) >= kind.limit:
                logger.warning("MCP server %s has more than %d %s; the rest is left out", server, kind.limit, kind.name)
                return
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str):
            return
        if cursor in cursors:
            logger.warning("MCP server %s pages %s in circles", server, kind.items)
            return
        cursors.add(cursor)
        params = {"cursor": cursor}
    logger.warning("MCP server %s has more than %d pages of %s; the rest is left out", server, MAX_PAGES, kind.items)


def _usable(kind: Kind, item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get(kind.key), str) or not item[kind.key]:
        return False
    return kind.name != "tools" or isinstance(item.get("inputSchema"), dict)


def param_headers(tools: tuple[Json, ...]) -> ParamHeaders:
    """Which arguments of which tools the modern protocol repeats in HTTP headers."""
    headers = {}
    for tool in tools:
        if find_invalid_x_mcp_header(tool["inputSchema"]) is None and (found := x_mcp_header_map(tool["inputSchema"])):
            headers[tool["name"]] = found
    return headers
