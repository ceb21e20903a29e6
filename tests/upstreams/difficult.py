"""An MCP server that does what servers should not, when asked to. Only the standard library: it runs on any host.

It speaks the handshake protocols on standard input and output. `difficult.py [START]`, where START is what it does
instead of starting well: `crash` (a message on stderr, exit code 1), `hang` (answers nothing), `banner` (text on stdout
before the protocol), `deaf` (works, but ignores the end of its input and SIGTERM, and has a child in a session of its
own), `stderr` (works, and floods stderr).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


class Difficult:
    """The server. Each call runs in a thread of its own; what is written is written a line at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._answers: dict[str, tuple[threading.Event, list[Json]]] = {}
        self._cancelled: set[object] = set()
        self._woken = False
        self._added: list[str] = []
        self._tools: dict[str, Callable[[Json, Json], str]] = {
            "echo": lambda given, _: str(given.get("text", "")),
            "pid": lambda _given, _: str(os.getpid()),
            "variable": lambda given, _: os.environ.get(str(given["name"]), "(not set)"),
            "directory": lambda _given, _: os.getcwd(),  # noqa: PTH109 - pathlib would have to be imported for it
            "big": lambda given, _: "x" * int(given["bytes"]),
            "sleep": self._sleep,
            "wake": self._wake,
            "die": self._die,
            "malformed": self._malformed,
            "flood": self._flood,
            "long_line": self._long_line,
            "add_tool": self._add_tool,
            "remove_tools": self._remove_tools,
            "progress": self._progress,
            "log": self._log,
            "ask": self._ask,
            "sample": self._sample,
            "roots": lambda _given, _: json.dumps(self.request("roots/list", {})),
        }

    def serve(self) -> None:
        """Answer until the input ends."""
        for line in sys.stdin:
            message = json.loads(line)
            if "method" not in message:
                event, answer = self._answers.pop(str(message["id"]))
                answer.append(message)
                event.set()
            elif message["method"] == "notifications/cancelled":
                self._cancelled.add(message["params"]["requestId"])
            elif "id" in message:
                threading.Thread(target=self._answer, args=(message,), daemon=True).start()

    def write(self, message: Json) -> None:
        """Send a message."""
        self.write_text(json.dumps({"jsonrpc": "2.0", **message}))

    def write_text(self, text: str) -> None:
        """Send a line, whatever it is."""
        with self._lock:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def notify(self, method: str, params: Json | None = None) -> None:
        """Send a notification."""
        self.write({"method": method, "params": params or {}})

    def request(self, method: str, params: Json) -> Json:
        """Ask the client, and wait for its answer: a result or an error."""
        with self._lock:
            self._next += 1
            number = f"difficult-{self._next}"
        event = threading.Event()
        answer: list[Json] = []
        self._answers[number] = (event, answer)
        self.write({"id": number, "method": method, "params": params})
        event.wait(60)
        if not answer:
            return {"error": {"message": "no answer"}}
        return {key: answer[0][key] for key in ("result", "error") if key in answer[0]}

    def _answer(self, message: Json) -> None:
        method, params = message["method"], message.get("params") or {}
        try:
            result = self._result(method, params, message["id"])
        except KeyError as missing:
            self.write({"id": message["id"], "error": {"code": -32602, "message": f"Unknown: {missing}"}})
            return
        if result is None:
            self.write({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
        elif message["id"] not in self._cancelled:
            self.write({"id": message["id"], "result": result})

    def _result(self, method: str, params: Json, request: object) -> Json | None:
        if method == "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}, "logging": {}},
                "serverInfo": {"name": "difficult", "version": "1"},
            }
        if method == "tools/list":
            names = [*self._tools, *self._added]
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
        if method == "tools/call":
            name = params["name"]
            tool = (lambda _given, _: "added") if name in self._added else self._tools[name]
            context = {"token": (params.get("_meta") or {}).get("progressToken"), "request": request}
            return {"content": [{"type": "text", "text": tool(params.get("arguments") or {}, context)}]}
        return {} if method in {"ping", "logging/setLevel"} else None

    def _sleep(self, given: Json, context: Json) -> str:
        until = time.monotonic() + float(given["seconds"])
        while time.monotonic() < until and not self._woken:
            if context["request"] in self._cancelled:
                if "file" in given:
                    with open(given["file"], "w") as file:  # noqa: PTH123 - as above
                        file.write("cancelled")
                return "cancelled"
            time.sleep(0.02)
        return "slept"

    def _wake(self, _given: Json, _context: Json) -> str:
        self._woken = True
        return "woken"

    def _die(self, given: Json, _context: Json) -> str:
        sys.stderr.write("difficult: the disk is on fire\n")
        sys.stderr.flush()
        os._exit(int(given.get("code", 9)))

    def _malformed(self, _given: Json, _context: Json) -> str:
        self.write_text('{"jsonrpc": "2.0", "id": 1, "result": {"broken"')
        self.write_text("[1, 2, 3]")
        self.write_text("this is no JSON at all")
        return "well-formed"

    def _flood(self, given: Json, _context: Json) -> str:
        for number in range(int(given["count"])):
            self.notify("notifications/message", {"level": "debug", "data": f"message {number}"})
        return "flooded"

    def _long_line(self, given: Json, _context: Json) -> str:
        with self._lock:
            block = "x" * 1_000_000
            sys.stdout.write('{"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "')
            for _ in range(int(given["megabytes"])):
                sys.stdout.write(block)
            sys.stdout.write('"}}\n')
            sys.stdout.flush()
        return "written"

    def _add_tool(self, given: Json, _context: Json) -> str:
        self._added.append(str(given["name"]))
        self.notify("notifications/tools/list_changed")
        return "added"

    def _remove_tools(self, _given: Json, _context: Json) -> str:
        self._added.clear()
        self.notify("notifications/tools/list_changed")
        return "removed"

    def _progress(self, given: Json, context: Json) -> str:
        steps = int(given["steps"])
        for step in range(1, steps + 1):
            if context["token"] is not None:
                params = {"progressToken": context["token"], "progress": step, "total": steps}
                self.notify("notifications/progress", {**params, "message": str(given.get("text", ""))})
            time.sleep(float(given.get("pause", 0)))
        return "done"

    def _log(self, given: Json, _context: Json) -> str:
        self.notify("notifications/message", {"level": given["level"], "logger": "fire", "data": given["data"]})
        return "logged"

    def _ask(self, given: Json, _context: Json) -> str:
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
        asked = {"mode": "form", "message": given["message"], "requestedSchema": schema}
        return json.dumps(self.request("elicitation/create", asked))

    def _sample(self, given: Json, _context: Json) -> str:
        content = {"type": "text", "text": given["prompt"]}
        asked = {"messages": [{"role": "user", "content": content}], "maxTokens": 10}
        return json.dumps(self.request("sampling/createMessage", asked))


def _flood_stderr() -> None:
    while True:
        sys.stderr.write("difficult: " + "e" * 200 + "\n")


def main() -> None:
    """Start as the first argument says."""
    start = sys.argv[1] if len(sys.argv) > 1 else ""
    if start == "crash":
        sys.exit("difficult: can't open the database")
    if start == "hang":
        signal.pause()
    server = Difficult()
    if start == "banner":
        server.write_text("Welcome to the difficult server!")
    if start == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "86397"], start_new_session=True)
    if start == "stderr":
        threading.Thread(target=_flood_stderr, daemon=True).start()
    server.serve()
    if start == "deaf":
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
