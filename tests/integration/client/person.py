"""Somebody at a terminal: a home directory with SSH files in it, and the `fairlead` command."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import asyncssh
import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.integration.sshd import Sshd, until

FAIRLEAD = (sys.executable, "-m", "fairlead_client")
ENDING_SECONDS = 60.0
Era = Literal["legacy", "auto"]


class Person:
    """A home directory; whatever of the real one could leak in (agent, token) is not there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ssh = home / ".ssh"
        self.ssh.mkdir(parents=True, mode=0o700)
        left_out = {"SSH_AUTH_SOCK", "FAIRLEAD_TOKEN"}
        self.environment = {name: value for name, value in os.environ.items() if name not in left_out}
        self.environment |= {"HOME": str(home), "USER": "ada", "LOGNAME": "ada"}

    def has_key(self, key: asyncssh.SSHKey, name: str = "id_ed25519", *, passphrase: str | None = None) -> Path:
        """Put a private key into ~/.ssh, with its public half beside it."""
        file = self.ssh / name
        file.write_bytes(key.export_private_key("openssh", passphrase=passphrase))
        file.chmod(0o600)
        file.with_name(f"{name}.pub").write_bytes(key.export_public_key())
        return file

    def knows(self, sshd: Sshd, *, address: str | None = None) -> None:
        """Add the server to ~/.ssh/known_hosts."""
        with (self.ssh / "known_hosts").open("a") as file:
            file.write(f"[{address or sshd.address}]:{sshd.port} {sshd.host_key}\n")

    def configures(self, text: str) -> None:
        """Write ~/.ssh/config."""
        (self.ssh / "config").write_text(text)

    def is_at_home_on(self, sshd: Sshd) -> str:
        """Give key and known host for a server; what to pass to `fairlead serve` is returned."""
        self.has_key(sshd.client_key)
        self.knows(sshd)
        return f"{sshd.username}@{sshd.address}:{sshd.port}"

    def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `fairlead` to its end."""
        return subprocess.run(
            [*FAIRLEAD, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ENDING_SECONDS,
            check=False,
        )

    @contextlib.contextmanager
    def serves(self, *arguments: str) -> Iterator["Served"]:
        """Run `fairlead serve` on HTTP, on a free port unless told otherwise, until the block ends."""
        outputs = len(list(self.home.glob("stderr-*")))
        errors, audit = self.home / f"stderr-{outputs}", self.home / f"stdout-{outputs}"
        with errors.open("wb") as stderr, audit.open("wb") as stdout:
            process = subprocess.Popen(
                [*FAIRLEAD, "serve", "--listen-port=0", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        served = Served(process, errors, audit)
        try:
            yield served
        finally:
            served.ends(signal.SIGKILL)

    @contextlib.contextmanager
    def serves_at_a_terminal(self, *arguments: str) -> Iterator[tuple["Served", "Terminal"]]:
        """The same with a terminal of its own, which a passphrase is asked on."""
        errors, audit = self.home / "stderr-terminal", self.home / "stdout-terminal"
        ours, theirs = os.openpty()
        with errors.open("wb") as stderr, audit.open("wb") as stdout:
            process = subprocess.Popen(
                # setsid --ctty: the passphrase is read from the controlling terminal, not from stdin.
                ["setsid", "--ctty", *FAIRLEAD, "serve", "--listen-port=0", *arguments],
                env=self.environment,
                stdin=theirs,
                stdout=stdout,
                stderr=stderr,
            )
        os.close(theirs)
        served = Served(process, errors, audit)
        try:
            yield served, Terminal(ours)
        finally:
            served.ends(signal.SIGKILL)
            os.close(ours)

    @contextlib.asynccontextmanager
    async def connects_on_stdio(self, *arguments: str, era: Era = "auto", **options: Any) -> AsyncIterator[Client]:
        """An MCP client that starts `fairlead serve --stdio` itself; `options` are its own."""
        server = StdioServerParameters(
            command=FAIRLEAD[0], args=[*FAIRLEAD[1:], "serve", "--stdio", *arguments], env=self.environment
        )
        async with Client(stdio_client(server), mode=era, **options) as client:
            yield client


class Terminal:
    """The near end of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.text = ""
        """What it has shown so far."""

    def shows(self, text: str, *, times: int = 1) -> None:
        """Wait until it has shown something so many times."""

        def shown() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.text += os.read(self._descriptor, 65536).decode()
            return self.text.count(text) >= times

        until(shown, f"{text!r} on the terminal", seconds=ENDING_SECONDS)

    def types(self, text: str) -> None:
        """Send keystrokes."""
        os.write(self._descriptor, text.encode())


class Served:
    """A running `fairlead serve`."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path, audit: Path) -> None:
        self.process = process
        self._errors = errors
        self._audit = audit

    @property
    def said(self) -> str:
        """What it told the person so far."""
        return self._errors.read_text()

    @property
    def audited(self) -> str:
        """Its audit trail so far."""
        return self._audit.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said something."""

        def said_or_ended() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said}"
            return text in self.said

        until(said_or_ended, f"{text!r}", seconds=ENDING_SECONDS)

    @property
    def url(self) -> str:
        """The URL it printed."""
        self.says("Ctrl-C ends it")
        match = re.search(r"MCP server at (\S+),", self.said)
        assert match is not None
        return match[1]

    @property
    def token(self) -> str:
        """The token it printed."""
        self.says("Gemini CLI")
        match = re.search(r"flt_\w+", self.said)
        assert match is not None
        return match[0]

    @contextlib.asynccontextmanager
    async def connected(self, *, era: Era = "auto", token: str | None = None) -> AsyncIterator[Client]:
        """An MCP client with the printed token, or another one."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=ENDING_SECONDS, trust_env=False) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=era) as client,
        ):
            yield client

    def ends(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait for the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(ENDING_SECONDS)


@contextlib.contextmanager
def ssh_agent(socket: Path, *keys: Path) -> Iterator[str]:
    """A real ssh-agent that holds the keys; gives the path of its socket."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        until(socket.is_socket, "the agent's socket", seconds=ENDING_SECONDS)
        for key in keys:
            subprocess.run(
                ["ssh-add", "-q", str(key)],
                env={**os.environ, "SSH_AUTH_SOCK": str(socket)},
                check=True,
                timeout=ENDING_SECONDS,
            )
        yield str(socket)
    finally:
        process.terminate()
        process.wait(ENDING_SECONDS)
