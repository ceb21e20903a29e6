"""What a sidecar would tell the operator: there are no pods here, but its status page is HTTP like any other."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.operator.running import Cluster

_PAUSE = 0.2


class StatusPage:
    """Answers `/statusz` as the sidecar of one host that has loaded the newest configuration."""

    def __init__(self, cluster: Cluster, host: str = "web-01") -> None:
        self._cluster = cluster
        self._host = host
        self.link: dict[str, Any] = {
            "state": "Connected",
            "reason": "Connected",
            "message": "Logged in.",
            "since": "2026-03-01T12:00:00Z",
        }

    def __call__(self) -> dict[str, Any]:
        rendered = self._cluster.rendered(self._host)
        digest = hashlib.sha256(rendered.encode()).hexdigest() if rendered else None
        return {"version": str(time.monotonic()), "config_digest": digest, "link": self.link, "tool_count": 5}


@contextmanager
def serving(page: Callable[[], dict[str, Any]]) -> Iterator[str]:
    """Serve a status page. Yields the operator's setting that leads there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "after=" in self.path:
                time.sleep(_PAUSE)
            body = json.dumps(page()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's signature
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
