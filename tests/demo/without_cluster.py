"""The demo where no cluster is possible: `fairlead serve` at work against a private sshd of the user who runs it."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncssh

from fairlead_sidecar import tokens
from tests.cluster.console import ClusterError, say, step
from tests.demo import agent
from tests.e2e.support.hosts import new_key, private_pem, public_line
from tests.e2e.support.waiting import wait_until

SSHD_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin"


def run() -> None:
    """Show it.

    Raises:
        ClusterError: There is no sshd on this machine.
        AssertionError: Something did not become what it should.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        login_key, host_key = new_key(), new_key()
        with contextlib.ExitStack() as running:
            with step("a private sshd on 127.0.0.1"):
                port = running.enter_context(_sshd(directory, login_key, host_key))
            token = tokens.mint()
            destination = f"{getpass.getuser()}@127.0.0.1:{port}"
            with step(f"fairlead serve {destination}"):
                url = running.enter_context(_serve(directory, login_key, host_key, destination, token))
            agent.works(url, token)
            agent.lines_to_paste("web-01", url, token)
    say("That server has ended with the demo. For a host of yours: fairlead serve USER@HOST")


@contextlib.contextmanager
def _sshd(directory: Path, login_key: asyncssh.SSHKey, host_key: asyncssh.SSHKey) -> Iterator[int]:
    program = shutil.which("sshd", path=SSHD_PATH)
    if program is None:
        msg = "the OpenSSH server is missing too (Debian: apt-get install openssh-server)"
        raise ClusterError(msg)
    if os.geteuid() == 0:
        # Where sshd locks itself in before login; as another user it has no such step.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = _free_port()
    host_key_file, authorized = directory / "host_key", directory / "authorized_keys"
    host_key_file.touch(mode=0o600)
    host_key_file.write_text(private_pem(host_key))
    authorized.write_text(public_line(login_key) + "\n")
    configuration = directory / "sshd_config"
    configuration.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {host_key_file}\nAuthorizedKeysFile {authorized}\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    log = directory / "sshd.log"
    with _process([program, "-D", "-E", str(log), "-f", str(configuration)], log) as process:
        wait_until(lambda: _alive(process, log) and _answers(port), timeout=10, what="sshd answers", interval=0.05)
        yield port


@contextlib.contextmanager
def _serve(
    directory: Path, login_key: asyncssh.SSHKey, host_key: asyncssh.SSHKey, destination: str, token: str
) -> Iterator[str]:
    identity, known_hosts, ssh_config = directory / "identity", directory / "known_hosts", directory / "ssh_config"
    identity.touch(mode=0o600)
    identity.write_text(private_pem(login_key))
    port = destination.rpartition(":")[2]
    known_hosts.write_text(f"[127.0.0.1]:{port} {public_line(host_key)}\n")
    ssh_config.touch()
    listen_port = _free_port()
    command = [sys.executable, "-m", "fairlead_client", "serve", f"--listen-port={listen_port}"]
    command += [f"--identity={identity}", f"--known-hosts={known_hosts}", f"--ssh-config={ssh_config}", destination]
    log = directory / "fairlead.log"
    with _process(command, log, FAIRLEAD_TOKEN=token) as process:
        wait_until(
            lambda: _alive(process, log) and "Ctrl-C ends it" in log.read_text(),
            timeout=20,
            what="fairlead serve is connected",
            interval=0.05,
        )
        say("    " + log.read_text().splitlines()[0])
        yield f"http://127.0.0.1:{listen_port}/mcp"


@contextlib.contextmanager
def _process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _alive(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"{process.args!r} ended: {log.read_text()}"
    return True


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
