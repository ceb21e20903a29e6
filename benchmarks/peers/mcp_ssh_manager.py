"""mcp-ssh-manager (npm), on stdio."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

from benchmarks.clients import start
from benchmarks.contestants import Host, Ran, Session, family
from benchmarks.peers.answers import structured, text

OUTPUT_CHARACTERS = 10**9
TIMEOUT_MS = 300_000


def stdio(directory: Path) -> Callable[[Host], AbstractAsyncContextManager[Session]]:
    """Started by its client."""
    return partial(_on_stdio, directory / "node_modules" / ".bin" / "mcp-ssh-manager")


@contextlib.asynccontextmanager
async def _on_stdio(program: Path, host: Host) -> AsyncIterator[Session]:
    environment = {
        **host.environment,
        "SSH_SERVER_BENCH_HOST": host.sshd.address,
        "SSH_SERVER_BENCH_PORT": str(host.port),
        "SSH_SERVER_BENCH_USER": host.sshd.username,
        "SSH_SERVER_BENCH_KEYPATH": str(host.key),
        "MCP_SSH_MAX_OUTPUT_LENGTH": str(OUTPUT_CHARACTERS),
        "MCP_SSH_DEFAULT_TIMEOUT": str(TIMEOUT_MS),
        "MCP_SSH_COMPACT_JSON": "true",
    }
    with (host.directory / "log").open("w") as log:
        async with start([str(program)], environment=environment, log=log, era="legacy") as (client, process):

            async def run(command: str) -> Ran:
                result = structured(await client.call_tool("ssh_execute", {"server": "bench", "command": command}))
                if result["code"] != 0:
                    msg = f"the command ended with {result['code']}: {result.get('error', '')}"
                    raise RuntimeError(msg)
                return Ran(len(result["stdout"]), len(result["stdout"]))

            async def upload(local: Path, remote: str) -> None:
                paths = {"localPath": os.fspath(local), "remotePath": remote}
                _done(text(await client.call_tool("ssh_upload", {"server": "bench", **paths})))

            async def download(remote: str, local: Path) -> None:
                paths = {"localPath": os.fspath(local), "remotePath": remote}
                _done(text(await client.call_tool("ssh_download", {"server": "bench", **paths})))

            yield Session(run, tuple(family(process)), upload, download)


def _done(answer: str) -> None:
    # Its failures of transfers are no errors in the sense of MCP, only texts.
    if " error: " in answer:
        raise RuntimeError(answer[:300])
