"""A small MCP server on stdio, for an account that has nothing but the system's Python; both protocol eras."""

import json
import os
import sys

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("whoami", "die")]
ABOUT = {"capabilities": {"tools": {}}, "serverInfo": {"name": "behind-ssh", "version": "1"}}


def result(method: str, params: dict) -> dict | None:  # type: ignore[type-arg]  # runs by itself, with whatever Python there is
    if method == "server/discover":
        return {
            **ABOUT,
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "ttlMs": 0,
            "cacheScope": "private",
        }
    if method == "initialize":
        return {**ABOUT, "protocolVersion": params["protocolVersion"]}
    if method == "tools/list":
        return {"resultType": "complete", "tools": TOOLS, "ttlMs": 0, "cacheScope": "private"}
    if method != "tools/call":
        return None
    if params["name"] == "die":
        os._exit(params["arguments"]["code"])
    text = f"{os.environ.get('SSH_ORIGINAL_COMMAND', '-')} {'SSH_AUTH_SOCK' in os.environ}"
    return {"resultType": "complete", "content": [{"type": "text", "text": text}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        answer = result(message["method"], message.get("params", {}))
        unknown = {"error": {"code": -32601, "message": "Method not found"}}
        said = unknown if answer is None else {"result": answer}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
