"""A host's real sidecar beside the operator, without a pod: it gets its configuration as a kubelet would bring it."""

import base64
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from fairlead_sidecar.config import INTERNAL_PORT, PUBLIC_PORT
from tests.integration.operator.running import Cluster, until

URL_TEMPLATE = "http://{address}:{{port}}"
"""For `FAIRLEAD_SIDECAR_URL_TEMPLATE`: the ports are those of pods, so each sidecar has an address of its own."""


class RunningSidecar:
    """The process, and how an agent talks to it."""

    def __init__(self, cluster: Cluster, address: str, directory: Path, host: str = "web-01") -> None:
        self._cluster = cluster
        self._host = host
        self._file = directory / "config.json"
        self._stop = threading.Event()
        self._address = address
        self.url = f"http://{address}:{PUBLIC_PORT}/{cluster.namespace}/{host}/mcp"

    def initialize(self, token: str, **headers: str) -> httpx.Response:
        """The first request of an agent."""
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "agent", "version": "1"},
            },
        }
        accept = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
        return httpx.post(self.url, json=body, headers=accept | headers, timeout=30)

    def _sync(self) -> bool:
        found = self._cluster.get("secret", f"rh-{self._host}")
        if found is None:
            return False
        content = base64.b64decode(found["data"]["config.json"])
        if not self._file.exists() or self._file.read_bytes() != content:
            new = self._file.with_suffix(".new")
            new.write_bytes(content)
            new.replace(self._file)
        return True

    def _keep_syncing(self) -> None:
        while not self._stop.wait(0.1):
            self._sync()

    @contextmanager
    def run(self) -> Iterator["RunningSidecar"]:
        """Start it once there is a configuration; end it with the block."""
        until(self._sync, "the operator writes a configuration")
        command = (sys.executable, "-m", "fairlead_sidecar", "--config", str(self._file), "--address", self._address)
        ports = ("--port", str(PUBLIC_PORT), "--internal-port", str(INTERNAL_PORT))
        with (self._file.parent / "sidecar.log").open("wb") as log:
            process = subprocess.Popen([*command, *ports], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        kubelet = threading.Thread(target=self._keep_syncing, daemon=True)
        kubelet.start()
        try:
            yield self
        finally:
            self._stop.set()
            kubelet.join()
            process.terminate()
            process.wait(timeout=30)


def status(cluster: Cluster, name: str = "agent") -> dict[str, Any]:
    """Status of an McpToken."""
    found: dict[str, Any] = (cluster.get("mcptoken", name) or {}).get("status") or {}
    return found
