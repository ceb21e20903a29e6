"""The MCP server on standard input and output whose tools do nothing, or give as many bytes as asked.

Only the standard library, in one file, so that whatever starts it runs the same program: `python3 -c SOURCE`.
"""

import json
import sys
from typing import Any


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a request; None: there is no such method."""
    if method == "initialize":
        version = params["protocolVersion"]
        info = {"name": "noop", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("noop", "big")]}
    if method == "tools/call":
        text = "x" * int((params.get("arguments") or {}).get("size", 0))
        return {"content": [{"type": "text", "text": text}]}
    return {} if method == "ping" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        result = result_of(message["method"], message.get("params") or {})
        answer = {"error": {"code": -32601, "message": "Method not found"}} if result is None else {"result": result}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}) + "\n")
        sys.stdout.flush()
