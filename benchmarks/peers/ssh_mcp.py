"""ssh-mcp (npm), on stdio."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

from benchmarks.clients import start
from benchmarks.contestants import Host, Ran, Session, family
from benchmarks.peers.answers import text

OUTPUT_BYTES = 10**9
TIMEOUT_MS = 300_000


def stdio(directory: Path) -> Callable[[Host], AbstractAsyncContextManager[Session]]:
    """Started by its client."""
    return partial(_on_stdio, directory / "node_modules" / ".bin" / "ssh-mcp")


@contextlib.asynccontextmanager
async def _on_stdio(program: Path, host: Host) -> AsyncIterator[Session]:
    transfers = host.directory / "transfers"
    transfers.mkdir(mode=0o700, exist_ok=True)
    command = [str(program), f"--config={_configuration(host, transfers)}"]
    with (host.directory / "log").open("w") as log:
        async with start(command, environment=host.environment, log=log, era="legacy") as (client, process):

            async def run(command: str) -> Ran:
                answer = text(await client.call_tool("run-command", {"command": command}))
                return Ran(len(answer), len(answer))

            async def upload(local: Path, remote: str) -> None:
                inside = transfers / "up"
                inside.hardlink_to(local)
                paths = {"localPath": str(inside), "remotePath": remote}
                text(await client.call_tool("sftp-upload-file", {**paths, "overwrite": True}))

            async def download(remote: str, local: Path) -> None:
                inside = transfers / "down"
                paths = {"remotePath": remote, "localPath": str(inside)}
                text(await client.call_tool("sftp-download-file", paths))
                inside.rename(local)

            yield Session(run, tuple(family(process)), upload, download)


def _configuration(host: Host, transfers: Path) -> Path:
    """Its configuration file: no approvals, no limits; it wants the directory to be nobody else's."""
    directory = host.directory / "config"
    directory.mkdir(mode=0o700, exist_ok=True)
    file = directory / "config.toml"
    # JSON strings are TOML strings too.
    file.write_text(
        f"""
[defaults]
defaultProfile = "bench"
approvalMode = "auto"
commandTimeoutMs = {TIMEOUT_MS}
commandMaxChars = 0
commandMaxOutputBytes = {OUTPUT_BYTES}
transferRoot = {json.dumps(str(transfers))}

[[profiles]]
name = "bench"
host = "{host.sshd.address}"
port = {host.port}
user = "{host.sshd.username}"
auth = "key"
keyRef = {json.dumps(str(host.key))}
group = "dev"
role = "admin"
approvalPolicy = "auto"
"""
    )
    file.chmod(0o600)
    return file
