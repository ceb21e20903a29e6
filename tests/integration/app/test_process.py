"""The pod's process as a whole: `python -m fairlead_sidecar`."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil

from fairlead_sidecar import tokens
from fairlead_sidecar.config import Endpoint, SidecarConfig
from tests.integration.app.endpoint import (
    ACCEPT,
    INITIALIZE,
    PATH,
    Tokens,
    call,
    initialize,
    lines_of,
    processes,
    until,
)
from tests.integration.sshd import Sshd, free_port


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
        await until(running.is_ready, "the process to be ready", seconds=30)
        yield running
    finally:
        if running.process.returncode is None:
            running.process.kill()
        await running.process.wait()


async def test_it_serves_logs_json_and_stops_promptly_on_sigterm(sshd: Sshd, tmp_path: Path) -> None:
    keyring = Tokens()
    token, grant = keyring.grant()
    config = sshd.sidecar_config(tokens=(grant,), endpoint=Endpoint(path=PATH))
    async with sidecar(config, tmp_path) as running, httpx.AsyncClient(timeout=30) as http:
        process = running.process
        assert process is not None
        await until(running.is_connected, "the link to be up", seconds=20)
        assert psutil.Process(process.pid).memory_info().rss <= 100 * 1024 * 1024
        http.headers.update(ACCEPT | {"Authorization": f"Bearer {token}"})
        session = await initialize(http, running.url)
        answer = await http.post(running.url, json=call("execute_command", command="echo hi"), headers=session)
        (message,) = lines_of(answer)
        assert message["result"]["structuredContent"]["stdout"] == "hi\n"
        stranger = await http.post(running.url, json=INITIALIZE, headers={"Authorization": f"Bearer {tokens.mint()}"})
        assert stranger.status_code == 401

        marker = "4818283818"
        pending = asyncio.create_task(
            http.post(running.url, json=call("execute_command", command=f"exec sleep {marker}"), headers=session)
        )
        await until(lambda: len(processes(f"sleep {marker}")) + len(processes(marker)) > 0, "the command to run")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert time.monotonic() - began < 10
        await until(lambda: not processes(marker), "the command to die")
        assert "shutting down" in (await pending).text

    audited = [json.loads(line) for line in running.stdout.splitlines()]
    assert [line["outcome"] for line in audited] == ["ok", "unknown_token", "cancelled"]
    logged = [json.loads(line) for line in running.stderr.splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in logged)
    assert not [line for line in logged if line["level"] in {"warning", "error"}]
    for text in (running.stdout, running.stderr):
        assert token not in text


async def test_an_idle_process_stops_at_once(sshd: Sshd, tmp_path: Path) -> None:
    async with sidecar(sshd.sidecar_config(), tmp_path) as running:
        process = running.process
        assert process is not None
        await until(running.is_connected, "the link to be up", seconds=20)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert time.monotonic() - began < 3
