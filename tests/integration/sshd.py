"""A private OpenSSH server for tests: own keys, own port on 127.0.0.1, nothing outside its own directory.

    def test_something(sshd: Sshd) -> None:      # the fixture; logs in as root
        config = sshd.sidecar_config()           # what a Link needs

`sshd_factory(...)` makes further ones: another account, MaxSessions, passwords. An unprivileged account and the home
directory live in a mount namespace of the server only, so that the machine's accounts and files stay untouched.
"""

import asyncio
import contextlib
import itertools
import os
import pwd
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest

from fairlead_sidecar.config import JumpHost, PinnedHostKeys, SecretFiles, SidecarConfig, Target

STARTUP_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
"""How long to wait for what takes a moment: long, since a test waits so long only to fail."""
PASSWORD = "open sesame 42"
"""The password of accounts that have one."""
_PASSWORD_HASH = "$6$fairlead$o6g988yqpZN/6gPOXFqlSBaKYUY44yuok4sMly/iXe5IIqQChbWRtxdhruGHG7Ytqnj1PtrdysTyCVVbwsr1S."


@dataclass(frozen=True)
class SecondFactor:
    """Logins on this server ask questions, through PAM: a one-time code, and the password where the account has one.

    Each code is taken once. Nothing of it is seen outside the server's mount namespace.
    """

    secret: str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    period: int = 30
    forward_pass: bool = False
    """Password and code are asked for in one line."""

    @property
    def uri(self) -> str:
        """As a Secret has it."""
        return f"otpauth://totp/deploy@web-01?secret={self.secret}&period={self.period}"


class Sshd:
    """One server, with its keys, its login account and its processes."""

    def __init__(
        self,
        directory: Path,
        *,
        username: str = "root",
        shell: str = "/bin/bash",
        password: bool = False,
        host_key_types: tuple[str, ...] = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"),
        options: dict[str, str] | None = None,
        mounts: tuple[str, ...] = (),
        sftp: bool = True,
        second_factor: SecondFactor | None = None,
        host_authority: asyncssh.SSHKey | None = None,
        host_certificate: dict[str, Any] | None = None,
    ) -> None:
        """Prepare one.

        `password` gives an account other than root the password PASSWORD; `options` are sshd_config lines; `mounts`
        are shell commands run in the server's own mount namespace. `host_authority` signs certificates for the host
        keys, made out to its address; `host_certificate` has other arguments of `generate_host_certificate`.
        """
        self.directory = directory
        self.username = username
        self.shell = shell
        self.password = password
        self.options = options or {}
        self.mounts = mounts
        self.sftp = sftp
        self.second_factor = second_factor
        self.host_authority = host_authority
        self.host_certificate = host_certificate or {}
        self.address = "127.0.0.1"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._namespace: int | None = None
        """File descriptor of the server's mount namespace. Held open, so that no other gets its number meanwhile."""
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "sshd.log"
        self.home = directory / "home"
        """The account's home directory, which the server and its commands see at `remote_home`."""
        (self.home / ".ssh").mkdir(parents=True)
        self.host_keys = {kind: asyncssh.generate_private_key(kind) for kind in host_key_types}
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        """The key that may log in."""
        self.secret = directory / "secret"
        """A directory as a mounted Secret looks like, holding the client key."""
        self.secret.mkdir()
        (self.secret / "ssh-privatekey").write_bytes(self.client_key.export_private_key())
        self.authorize(self.client_key)
        self._write_configuration()

    # --- what a client needs -------------------------------------------------------------------------------------

    @property
    def host_key(self) -> str:
        """The first host key as one OpenSSH line, ready for a pin."""
        key = next(iter(self.host_keys.values()))
        return key.export_public_key().decode().strip()

    @property
    def fingerprint(self) -> str:
        """`SHA256:…` of the first host key."""
        return next(iter(self.host_keys.values())).get_fingerprint()

    def sidecar_config(self, **changes: Any) -> SidecarConfig:
        """A configuration that logs in to this server; `changes` replace top-level fields."""
        fields: dict[str, Any] = {
            "instance": str(uuid.uuid4()),
            "namespace": "shop",
            "name": "web-01",
            "target": Target(address=self.address, port=self.port, username=self.username),
            "auth": SecretFiles(directory=self.secret, secret_name="web-01-ssh"),
            "host_key": PinnedHostKeys(public_keys=(self.host_key,)),
        }
        return SidecarConfig(**{**fields, **changes})

    def jump_host(self, secret_name: str, **changes: Any) -> JumpHost:
        """This server as a jump host of another; `changes` replace fields."""
        fields: dict[str, Any] = {
            "target": Target(address=self.address, port=self.port, username=self.username),
            "auth": SecretFiles(directory=self.secret, secret_name=secret_name),
            "host_key": PinnedHostKeys(public_keys=(self.host_key,)),
        }
        return JumpHost(**{**fields, **changes})

    async def bare_connection(self) -> asyncssh.SSHClientConnection:
        """A connection of asyncssh alone, to compare with."""
        return await asyncssh.connect(
            self.address,
            self.port,
            username=self.username,
            client_keys=[self.client_key],
            known_hosts=asyncssh.import_known_hosts(f"[{self.address}]:{self.port} {self.host_key}\n"),
            config=None,
            agent_path=None,
        )

    def authorize(self, *keys: asyncssh.SSHKey, prefix: str = "") -> None:
        """Let exactly these keys log in; `prefix` is an authorized_keys option list, e.g. `command="…"`."""
        lines = [f"{prefix} {key.export_public_key().decode().strip()}".strip() for key in keys]
        (self.home / ".ssh" / "authorized_keys").write_text("\n".join(lines) + "\n")

    # --- the process ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._process is None, "sshd runs already"
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", self._start_script()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, f"sshd on port {self.port}", seconds=STARTUP_SECONDS)
        self._namespace = os.open(f"/proc/{self._process.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def stop(self) -> None:
        """End the server, its connections and all that ran through them, as a shutdown of the host does; idempotent."""
        if self._process is None:
            return
        while members := self.processes():
            for process in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.poll()
            psutil.wait_procs(members, timeout=1)
        self._process.wait(STARTUP_SECONDS)
        self._process = None
        if self._namespace is not None:
            os.close(self._namespace)
            self._namespace = None

    def restart(self) -> None:
        """Stop and start on the same port with the same keys."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Let new connections meet the configuration and host keys as they are now; the others go on."""
        assert self._process is not None, "sshd does not run"
        starts = self.log.read_text().count("Server listening")
        self._process.send_signal(signal.SIGHUP)
        until(lambda: self.log.read_text().count("Server listening") > starts, "sshd to listen again")
        until(self._answers, f"sshd on port {self.port}")

    def drop_connections(self) -> None:
        """End the processes that serve connections; the listener and the commands stay."""
        for process in self.connection_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def freeze(self) -> None:
        """Stop listener and connections without closing anything: a host that has hung."""
        # The listener first: else it could still take a connection that nobody stops.
        self._listener().send_signal(signal.SIGSTOP)
        for process in self.connection_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        for process in [*self.connection_processes(), self._listener()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def processes(self) -> list[psutil.Process]:
        """All processes that run on this "host": in the server's mount namespace, whoever their parent is."""
        if self._namespace is None:
            return [] if self._process is None else [psutil.Process(self._process.pid)]
        mine = os.fstat(self._namespace)
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.path.samestat(Path(f"/proc/{pid}/ns/mnt").stat(), mine):
                    found.append(psutil.Process(pid))
        return found

    def running(self, argument: str) -> bool:
        """Whether a process on this host has `argument` in its command line."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if runs(process, argument):
                    return True
        return False

    def connection_processes(self) -> list[psutil.Process]:
        """The sshd processes of the open connections."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "sshd" and process != self._listener():
                    found.append(process)
        return found

    def change_host_keys(self, keys: dict[str, asyncssh.SSHKey] | None = None) -> None:
        """Give the server these host keys, else new ones of the same types; takes effect at the next start."""
        self.host_keys = keys or {kind: asyncssh.generate_private_key(kind) for kind in self.host_keys}
        self._write_configuration()

    def _listener(self) -> psutil.Process:
        assert self._process is not None, "sshd does not run"
        return psutil.Process(self._process.pid)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"sshd ended with code {self._process.returncode}:\n{self.log.read_text()}")
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                return connection.recv(8).startswith(b"SSH-2.0")
        except OSError:
            return False

    # --- its files -----------------------------------------------------------------------------------------------

    @property
    def remote_home(self) -> str:
        """The home directory as the server sees it."""
        return pwd.getpwnam("root").pw_dir if self.username == "root" else f"/home/{self.username}"

    def local(self, remote: str) -> Path:
        """Where a path below the account's home lies for the test."""
        return self.home / Path(remote).relative_to(self.remote_home)

    def _write_configuration(self) -> None:
        lines = {
            "Port": str(self.port),
            "ListenAddress": self.address,
            "PidFile": "none",
            "AuthorizedKeysFile": f"{self.remote_home}/.ssh/authorized_keys",
            "PermitRootLogin": "yes",
            "StrictModes": "no",
            "UsePAM": "no",
            "UseDNS": "no",
            "PasswordAuthentication": "yes" if self.password else "no",
            "KbdInteractiveAuthentication": "no",
            "LogLevel": "VERBOSE",
            "PrintMotd": "no",
            **({"UsePAM": "yes", "KbdInteractiveAuthentication": "yes"} if self.second_factor else {}),
            **self.options,
        }
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        for kind, key in self.host_keys.items():
            path = self.directory / f"host-key-{kind}"
            path.write_bytes(key.export_private_key())
            path.chmod(0o600)
            text += f"HostKey {path}\n"
            if self.host_authority is not None:
                settings = {"principals": [self.address], **self.host_certificate}
                certificate = self.host_authority.generate_host_certificate(key, "host", **settings)
                (self.directory / f"host-cert-{kind}").write_bytes(certificate.export_certificate())
                text += f"HostCertificate {self.directory / f'host-cert-{kind}'}\n"
        if self.sftp:
            text += "Subsystem sftp internal-sftp\n"
        (self.directory / "sshd_config").write_text(text)

    def _start_script(self) -> str:
        steps = ["set -e", *self.mounts]
        if self.username != "root":
            steps += self._private_account()
        if self.second_factor is not None:
            steps += self._second_factor(self.second_factor)
        # Root too gets a home of its own: its real one may hold start-up files, and is none of a test's business.
        steps.append(shlex.join(["mount", "--bind", str(self.home), self.remote_home]))
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin")
        assert sshd is not None
        steps.append(shlex.join(["exec", sshd, "-D", "-e", "-f", str(self.directory / "sshd_config")]))
        return "\n".join(steps)

    def _second_factor(self, factor: SecondFactor) -> list[str]:
        """Shell lines that put a PAM stack for sshd into the server's mount namespace."""
        state = self.directory / "second-factor"
        state.mkdir(exist_ok=True)
        (state / "state").write_text(
            f'{factor.secret}\n" STEP_SIZE {factor.period}\n" TOTP_AUTH\n" DISALLOW_REUSE\n" WINDOW_SIZE 3\n'
        )
        (state / "state").chmod(0o400)
        code = f"secret={state / 'state'} user=root no_strict_owner allowed_perm=0600"
        stack = [f"auth required pam_google_authenticator.so {code}{' forward_pass' if factor.forward_pass else ''}"]
        if self.password:
            stack.append(f"auth required pam_unix.so{' use_first_pass' if factor.forward_pass else ''}")
        stack += ["account required pam_permit.so", "session required pam_permit.so", "password required pam_deny.so"]
        (state / "pam").write_text("\n".join(stack) + "\n")
        return [shlex.join(["mount", "--bind", str(state / "pam"), "/etc/pam.d/sshd"])]

    def _private_account(self) -> list[str]:
        """Shell lines that give the server's mount namespace an account of its own."""
        uid = 59_000
        hashed = _PASSWORD_HASH if self.password else "*"
        entries = {
            "passwd": f"{self.username}:x:{uid}:{uid}::{self.remote_home}:{self.shell}",
            "group": f"{self.username}:x:{uid}:",
            "shadow": f"{self.username}:{hashed}:20000:0:99999:7:::",
        }
        steps = ["mount -t tmpfs tmpfs /home", f"mkdir {self.remote_home}"]
        for name, line in entries.items():
            private = self.directory / f"etc-{name}"
            private.write_text((Path("/etc") / name).read_text().rstrip("\n") + f"\n{line}\n")
            private.chmod(0o640 if name == "shadow" else 0o644)
            steps.append(shlex.join(["mount", "--bind", str(private), f"/etc/{name}"]))
        steps.append(shlex.join(["chown", "-R", f"{uid}:{uid}", str(self.home)]))
        return steps


SshdFactory = Callable[..., Sshd]


@pytest.fixture
def sshd_factory(tmp_path: Path) -> Iterator[SshdFactory]:
    """Make started servers: `sshd_factory(username="deploy", options={"MaxSessions": "2"})`; all end with the test."""
    require_sshd()
    servers: list[Sshd] = []

    def make(*, started: bool = True, **settings: Any) -> Sshd:
        server = Sshd(tmp_path / f"sshd-{len(servers)}", **settings)
        servers.append(server)
        if started:
            server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def sshd(sshd_factory: SshdFactory) -> Sshd:
    """A started server that root logs in to with a key."""
    return sshd_factory()


def require_sshd() -> None:
    """Fail with a sentence that says what this machine lacks."""
    missing = []
    if shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin") is None:
        missing.append("the OpenSSH server (Debian: apt-get install openssh-server)")
    if shutil.which("google-authenticator") is None:
        missing.append("one-time codes for sshd (Debian: apt-get install libpam-google-authenticator)")
    if shutil.which("ssh-agent") is None:
        missing.append("ssh-agent (Debian: apt-get install openssh-client)")
    if shutil.which("unshare") is None:
        missing.append("unshare (Debian: apt-get install util-linux)")
    if psutil.Process().uids().effective != 0:
        missing.append("root (sshd has to log in as several accounts)")
    if missing:
        pytest.fail("The tests with a private sshd need " + ", ".join(missing) + ".", pytrace=False)


def _ports() -> Iterator[int]:
    # Below the range from which the system takes its own, and another piece of it for each process that runs tests.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(10_000 + worker % 11 * 2_000, 12_000 + worker % 11 * 2_000))
    # Whoever runs tests beside these begins elsewhere.
    begin = random.randrange(len(ports))
    return itertools.cycle(ports[begin:] + ports[:begin])


_candidates = _ports()
_claims: deque[int] = deque()
_MOST_CLAIMS = 300


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, and that was given to nobody else for a long while."""
    for port in _candidates:
        if not _claim(port):
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


def _claim(port: int) -> bool:
    """Keep it from other processes that run tests: whoever it is for listens on it only later."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        # A name without a file, which ends with its socket.
        claim.bind(f"\0fairlead-tests-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim.detach())
    if len(_claims) > _MOST_CLAIMS:
        os.close(_claims.popleft())
    return True


def until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `condition()` holds; fail naming `what` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.02)


_MARKER = re.compile(r"FAIRLEAD_CALL_ID=[0-9a-f.]+")


def runs(process: psutil.Process, argument: str) -> bool:
    """Whether it runs and has `argument` in its command line; the digits of a command's id don't count.

    Raises:
        psutil.Error: It is gone.
    """
    words = (_MARKER.sub("", word) for word in process.cmdline())
    return any(argument in word for word in words) and process.status() != psutil.STATUS_ZOMBIE


async def eventually(
    condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS, instead: Callable[[], object] = str
) -> None:
    """As `until`, while the event loop goes on; a failure also says what there is `instead`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what} {instead()}"
        await asyncio.sleep(0.02)
