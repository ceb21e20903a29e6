"""The stock of a shop as an MCP server, as hosts have such servers: `shop-stock`, or `shop-stock PORT` for HTTP.

In the image it is the program `shop-stock` in `~/.local/bin` of the account, which only login shells have on their
PATH.
"""

import os
import sys

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

STOCK = {"lamps": 12, "chairs": 4}

server = MCPServer("shop-stock", version="1.2.3", instructions="Look at the stock first.", log_level="WARNING")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def in_stock(item: str) -> int:
    """How many pieces of an item there are."""
    return STOCK.get(item, 0)


@server.tool()
def sell(item: str, pieces: int = 1) -> int:
    """Take pieces of an item out of the stock; what is left."""
    if STOCK.get(item, 0) < pieces:
        raise ValueError(f"there are not {pieces} {item}")
    STOCK[item] -= pieces
    return STOCK[item]


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def branch() -> str:
    """Which branch of the shop this is."""
    return os.environ.get("SHOP_BRANCH", "none")


@server.resource("stock://items")
def items() -> str:
    """All items."""
    return ", ".join(STOCK)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
