"""An upstream server that says what it is told to: `misbehaving.py ANSWERS`, a JSON object of results by method."""

import json
import sys
from typing import Any

HANDSHAKE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {}, "completions": {}},
    "serverInfo": {"name": "misbehaving", "version": "1"},
}


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(answers: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    method = message["method"]
    if method == "initialize":
        return {"result": {**HANDSHAKE, **answers.get(method, {})}}
    if method in answers:
        return {"result": answers[method]}
    if method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": message["params"]["name"]}]}}
    return {"error": {"code": -32601, "message": "Method not found"}}


def main() -> None:
    answers = json.loads(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            say({"id": message["id"], **answer(answers, message)})


if __name__ == "__main__":
    main()
