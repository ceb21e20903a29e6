"""What a server offers, fetched page by page within bounds."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp_types import METHOD_NOT_FOUND, methods
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from pydantic import ValidationError

from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.negotiation import ParamHeaders
from fairlead_sidecar.upstream.spec import Catalogue, Json

logger = logging.getLogger(__name__)

MAX_PAGES = 1000
MAX_CHARACTERS = 16 * 1024 * 1024
"""Of one list as JSON."""
ALL_ERAS = (LATEST_MODERN_VERSION, LATEST_HANDSHAKE_VERSION)

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
                logger.log(level, "MCP server %s: %s failed: %s", server, kind.method, quoted(error.message))
    return replace(catalogue, **lists)  # type: ignore[arg-type] # the names are those of its tuples of items


async def _items(kind: Kind, ask: Ask, server: str) -> AsyncIterator[Json]:
    left = _Left(kind)
    cursors: set[str] = set()
    params: Json | None = None
    for _ in range(MAX_PAGES):
        page = await ask(kind.method, params)
        items = page.get(kind.items)
        if not isinstance(items, list):
            raise ProtocolError(f"The server's answer to {kind.method} has no list {kind.items!r}.")
        for item in left.taken(items):
            yield item
        if left.unusable:
            logger.warning("MCP server %s lists something unusable in %s; it is left out", server, kind.items)
        if left.over:
            logger.warning("MCP server %s lists too much in %s; the rest is left out", server, kind.items)
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


class _Left:
    """How much of a list is still taken."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._seen: set[str] = set()
        self._items = kind.limit
        self._characters = MAX_CHARACTERS
        self.unusable = False
        """Whether the last page had something that is none of these items."""
        self.over = False
        """Whether there was more."""

    def taken(self, page: list[Any]) -> Iterator[Json]:
        """What is taken of a page."""
        looked_at = page[: self._items]
        self.over = len(looked_at) < len(page)
        # What is left out counts too, else there would be no end of it.
        self._items -= len(looked_at)
        all_fit = readable(self._kind.method, looked_at)
        self.unusable = not all_fit
        for item in looked_at:
            if not _usable(self._kind, item) or not (all_fit or readable(self._kind.method, [item])):
                self.unusable = True
            elif item[self._kind.key] not in self._seen:
                self._characters -= len(json.dumps(item))
                if self._characters < 0:
                    self.over = True
                    return
                self._seen.add(item[self._kind.key])
                yield item


def readable(method: str, items: list[Any], versions: Collection[str] = ALL_ERAS) -> bool:
    """Whether clients of one of these protocol versions can read a list of these items.

    Many refuse a whole list for one item that is not as it should be.
    """
    member = next(kind.items for kind in KINDS if kind.method == method)
    # The modern protocol's lists have some more members; the others don't mind.
    page = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", member: items}
    for version in versions:
        with suppress(ValidationError):
            methods.validate_server_result(method, version, page)
            return True
    return False


def _usable(kind: Kind, item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get(kind.key), str) and bool(item[kind.key])


def param_headers(tools: tuple[Json, ...]) -> ParamHeaders:
    """Which arguments of which tools the modern protocol repeats in HTTP headers."""
    headers = {}
    for tool in tools:
        if find_invalid_x_mcp_header(tool["inputSchema"]) is None and (found := x_mcp_header_map(tool["inputSchema"])):
            headers[tool["name"]] = found
    return headers
