"""The real m2m-mcp-server-ssh-server, from its sdist, with the mcp 1.30.0 that it needs."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from benchmarks.peers.install import installed_m2m
from fairlead_sidecar.config import KeyServer, PinnedHostKeys, SecretFiles, SshServer, Target
from tests.integration.sshd import free_port, until

BACKEND = Path(__file__).parents[3] / "benchmarks" / "peers" / "sh_server.py"


@dataclass
class M2m:
    """One that runs, with two backends that both have the tool `sh`."""

    directory: Path
    port: int
    key_server_port: int
    process: subprocess.Popen[bytes]

    @property
    def host_key(self) -> str:
        """As one OpenSSH line, ready for a pin."""
        return (self.directory / "host-key.pub").read_text().strip()

    def server(self, secret: Path, *, pinned: str | None = None) -> SshServer:
        """The configuration to reach it with: a pin, or its key server."""
        trust = (
            PinnedHostKeys(public_keys=(pinned,))
            if pinned
            else KeyServer(url=f"http://127.0.0.1:{self.key_server_port}")
        )
        return SshServer(
            target=Target(address="127.0.0.1", port=self.port, username="mcp"),
            auth=SecretFiles(directory=secret, secret_name="m2m"),
            host_key=trust,
        )


@contextmanager
def running_m2m(directory: Path) -> Iterator[M2m]:
    """Start it with its key server; ends with the context."""
    peers = installed_m2m()
    python = str(peers / "m2m" / "bin" / "python")
    backend = {"command": python, "args": [str(BACKEND)]}
    (directory / "home" / ".ssh").mkdir(parents=True)
    (directory / "servers.json").write_text(json.dumps({"mcpServers": {"one": backend, "two": backend}}))
    port, key_server_port = free_port(), free_port()
    command = [
        *(python, "-m", "m2m_mcp_server_ssh_server", "--port", str(port), "--log-level", "ERROR"),
        *("--server-key", str(directory / "host-key"), "--servers-config", str(directory / "servers.json")),
        *("--run-key-server", "--key-server-port", str(key_server_port)),
    ]
    environment = {**os.environ, "HOME": str(directory / "home"), "PYTHONPATH": str(peers / "m2m-server")}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        m2m = M2m(directory, port, key_server_port, process)
        until(lambda: _listens(port) and _listens(key_server_port), "m2m's server")
        yield m2m
    finally:
        process.terminate()
        process.wait(60)


def new_secret(directory: Path) -> tuple[Path, asyncssh.SSHKey]:
    """A Secret with a new key."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="anna@laptop")
    directory.mkdir()
    (directory / "ssh-privatekey").write_bytes(key.export_private_key())
    return directory, key


def _listens(port: int) -> bool:

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
