"""A small stdio server without any library that misbehaves as its argument says; without one it behaves."""

import json
import os
import sys
import time
from typing import Any


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(request: dict[str, Any], result: dict[str, Any]) -> None:
    send({"id": request["id"], "result": result})


def tool(name: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "x-unknown": {"kept": [1, 2.5, None]}}


def list_tools(request: dict[str, Any], mode: str) -> None:
    if mode == "circles":
        answer(request, {"tools": [tool("a")], "nextCursor": "again"})
    elif mode == "many":
        answer(request, {"tools": [tool(f"t{number}") for number in range(1200)]})
    elif mode == "unusable":
        answer(request, {"tools": [tool("good"), {"name": "no-schema"}, {"inputSchema": {}}, "nonsense", tool("")]})
    elif mode == "no-list":
        answer(request, {"tools": "none"})
    else:
        answer(request, {"tools": [tool("a")]})


def call(request: dict[str, Any], mode: str) -> None:
    params = request["params"]
    if mode == "malformed":
        sys.stdout.write('{"jsonrpc": "2.0", "id": ' + str(request["id"]) + ', "result": {"content"\n')
        sys.stdout.flush()
        return
    if mode == "exit":
        sys.exit(4)
    if mode == "silent":
        return
    if mode == "flood":
        for number in range(int(params["arguments"]["n"])):
            method = ("notifications/message", "notifications/tools/list_changed", "notifications/progress")[number % 3]
            token = params.get("_meta", {}).get("progressToken", 0)
            told = {"progressToken": token, "progress": number, "level": "info", "data": "x" * 100}
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": told}) + "\n")
        sys.stdout.flush()
    if mode == "forgets":
        send({"id": "question", "method": "elicitation/create", "params": {"message": "Well?"}})
        while not os.path.exists(params["arguments"]["asked"]):  # noqa: PTH110 - pathlib takes long to import
            time.sleep(0.01)
    if mode == "interrogates":
        for number in range(5000):
            send({"id": f"question-{number}", "method": "elicitation/create", "params": {"message": "Well?"}})
        return
    if mode == "busy":
        time.sleep(float(params["arguments"]["n"]))
    if mode == "error":
        send({"id": request["id"], "error": {"code": -32000, "message": "Out of paint", "data": {"left": 0}}})
        return
    answer(request, {"content": [{"type": "text", "text": "done"}], "x-unknown": {"pid": os.getpid()}})


def main(mode: str) -> None:
    if mode == "crash":
        sys.stderr.write("no such module: paint\n")
        sys.exit(3)
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if mode == "hang" or (mode == "noise" and method == "initialize"):
            if mode == "noise":
                print("Welcome to the server!", flush=True)
            continue
        if mode == "handshake-first" and method == "server/discover":
            sys.exit(1)
        if method == "initialize":
            capabilities = {"tools": {"listChanged": True}}
            info = {"name": "awkward", "version": "0"}
            answer(message, {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info})
        elif method == "tools/list":
            list_tools(message, mode)
        elif method == "tools/call":
            call(message, mode)
        elif method == "resources/list" and "id" in message:
            answer(message, {"resources": []})
        elif "id" in message and method is not None:
            send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
