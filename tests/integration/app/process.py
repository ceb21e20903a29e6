"""The pod's process, started as the pod starts it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from fairlead_sidecar.config import SidecarConfig
from tests.integration.app.endpoint import PATH, until
from tests.integration.sshd import free_port


class Process:
    """The running process and what it printed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.internal_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}{PATH}/mcp"
        self.internal_url = f"http://127.0.0.1:{self.internal_port}"
        self.process: asyncio.subprocess.Process | None = None

    @property
    def stdout(self) -> str:
        return (self.directory / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.directory / "stderr").read_text()

    async def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient() as http:
                return (await http.get(f"{self.internal_url}/readyz")).status_code == 200
        return False

    async def is_connected(self) -> bool:
        async with httpx.AsyncClient() as http:
            status = (await http.get(f"{self.internal_url}/statusz")).json()
        return bool(status["link"]["state"] == "Connected")


@contextlib.asynccontextmanager
async def sidecar(config: SidecarConfig, directory: Path) -> AsyncIterator[Process]:
    """Start the process and wait until it is ready."""
    running = Process(directory)
    (directory / "config.json").write_text(config.render())
    with (directory / "stdout").open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
        running.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "fairlead_sidecar", "--config", str(directory / "config.json"), "--address", "127.0.0.1"),
            *("--port", str(running.port), "--internal-port", str(running.internal_port)),
            stdout=stdout,
            stderr=stderr,
        )
    try:
        await until(running.is_ready, "the process to be ready")
        yield running
    finally:
        if running.process.returncode is None:
            running.process.kill()
        await running.process.wait()
