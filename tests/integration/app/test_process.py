"""The pod's process as a whole: `python -m fairlead_sidecar`."""

import asyncio
import json
import signal
import time
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

from fairlead_sidecar import tokens
from fairlead_sidecar.config import Endpoint
from fairlead_sidecar.leaving import LINGER_SECONDS
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
from tests.integration.app.process import sidecar
from tests.integration.sshd import Sshd


async def test_it_serves_logs_json_and_stops_promptly_on_sigterm(sshd: Sshd, tmp_path: Path) -> None:
    keyring = Tokens()
    token, grant = keyring.grant()
    config = sshd.sidecar_config(tokens=(grant,), endpoint=Endpoint(path=PATH))
    async with sidecar(config, tmp_path) as running, httpx.AsyncClient(timeout=30) as http:
        process = running.process
        assert process is not None
        await until(running.is_connected, "the link to be up")
        assert psutil.Process(process.pid).memory_info().rss <= 100 * 1024 * 1024
        http.headers.update(ACCEPT | {"Authorization": f"Bearer {token}"})
        session = await initialize(http, running.url)
        answer = await http.post(running.url, json=call("execute_command", command="echo hi"), headers=session)
        (message,) = lines_of(answer)
        assert message["result"]["structuredContent"]["stdout"] == "hi\n"
        stranger = await http.post(running.url, json=INITIALIZE, headers={"Authorization": f"Bearer {tokens.mint()}"})
        assert stranger.status_code == 401

        marker = f"4{uuid4().int % 10**9:09}"
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
        await until(running.is_connected, "the link to be up")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        # It does not wait for requests that may still come, as one does that lets its calls come to their end.
        assert time.monotonic() - began < LINGER_SECONDS
