"""An agent that runs one command: `client.py URL TOKEN ERA COMMAND`."""

import asyncio
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, token: str, era: str, command: str) -> None:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        await client.call_tool("execute_command", {"command": command})


asyncio.run(main(*sys.argv[1:]))
