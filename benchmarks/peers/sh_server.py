"""The MCP server that m2m serves in the benchmark: one tool that runs a command with `sh`.

m2m brings no tools of its own. Run with m2m's Python, hence with mcp 1.x, and by path: nothing of Fairlead is there.
"""

import asyncio

from mcp.server.fastmcp import FastMCP  # type: ignore[attr-defined]  # mcp 1.x, in m2m's environment

server = FastMCP("sh", log_level="WARNING")


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def sh(command: str) -> str:
    """Run a command."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        msg = f"the command ended with {process.returncode}"
        raise RuntimeError(msg)
    return output.decode(errors="replace")


if __name__ == "__main__":
    server.run("stdio")
