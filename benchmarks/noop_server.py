"""The limit that a tool call is compared with: an MCP server whose tools do nothing, or give as many bytes as asked.

Run as `python -m benchmarks.noop_server PORT`.
"""

import sys

import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("noop")


@server.tool()
async def noop() -> str:
    """Do nothing."""
    return ""


@server.tool(structured_output=False)
async def big(size: int) -> str:
    """Give this many bytes."""
    return "x" * size


if __name__ == "__main__":
    uvicorn.run(
        server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False
    )
