"""The link to one host: keeps it up, says how it stands, runs commands through it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import asyncssh

from fairlead_sidecar.config import KnownHosts, LocalAccount, PinnedHostKeys, SidecarConfig
from fairlead_sidecar.errors import (
    AuthenticationFailed,
    ConnectionLost,
    HostKeyMismatch,
    HostUnreachable,
    LinkError,
    ProtocolFailure,
)
from fairlead_sidecar.ssh.credentials import load_credentials
from fairlead_sidecar.ssh.observer import NullObserver, Observer
from fairlead_sidecar.ssh.output import OutputBuffer
from fairlead_sidecar.ssh.result import CommandResult, OutputCallback, Stream
from fairlead_sidecar.statusz import LinkState, LinkStatus


class Link:
    """One host."""

    def __init__(
        self,
        config: SidecarConfig,
        *,
        on_change: Callable[[], None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        self._config = config
        self._on_change = on_change
        self.observer: Observer = observer or NullObserver()
        self._status = LinkStatus(
            state=LinkState.CONNECTING, reason="Connecting", message="Connecting.", since=datetime.now(UTC)
        )
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._error: LinkError = HostUnreachable("Not connected yet.")
        self._up = asyncio.Event()
        self._wake = asyncio.Event()

    def status(self) -> LinkStatus:
        """How the link stands now."""
        return self._status

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        connected_before = False
        while True:
            try:
                connection = await self._login()
            except LinkError as error:
                self._error = error
                self._publish(LinkState.FAILED, error.reason, f"{error.message} {error.hint}")
            else:
                self._connection = connection
                self._sftp = None
                self._publish(
                    LinkState.CONNECTED,
                    "Connected",
                    "Connected.",
                    fingerprint=_fingerprint(connection),
                    version=str(connection.get_extra_info("server_version")),
                )
                if connected_before:
                    self.observer.on_reconnect()
                connected_before = True
                self._up.set()
                self.observer.on_state(connected=True)
                try:
                    await connection.wait_closed()
                finally:
                    self._up.clear()
                    self._connection = None
                    connection.abort()
                    self.observer.on_state(connected=False)
                self._error = ConnectionLost("The connection to the host was lost.")
                self._publish(LinkState.FAILED, self._error.reason, self._error.message)
            self._wake.clear()
            try:
                async with asyncio.timeout(0.5):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def reconfigure(self, config: SidecarConfig) -> None:
        """Take a new configuration into force."""
        changed = (config.target, config.auth, config.host_key, config.credentials_version) != (
            self._config.target,
            self._config.auth,
            self._config.host_key,
            self._config.credentials_version,
        )
        self._config = config
        if changed:
            self._wake.set()
            if self._connection:
                self._connection.close()

    async def sftp(self) -> asyncssh.SFTPClient:
        """The SFTP session, opened when needed."""
        connection = await self._ready()
        if self._sftp is None:
            self._sftp = await connection.start_sftp_client()
        return self._sftp

    async def command(
        self,
        command: str,
        *,
        timeout: float,
        output_limit: int,
        on_output: OutputCallback | None = None,
    ) -> CommandResult:
        """Run a command in the account's login shell."""
        connection = await self._ready()
        started = time.monotonic()
        process = await connection.create_process(command, encoding=None, stdin=asyncssh.DEVNULL)
        buffers: dict[Stream, OutputBuffer] = {
            "stdout": OutputBuffer(output_limit),
            "stderr": OutputBuffer(output_limit),
        }

        async def pump(name: Stream, reader: asyncssh.SSHReader[bytes]) -> None:
            while data := await reader.read(65536):
                buffers[name].feed(data)
                self.observer.on_bytes("received", len(data))
                if on_output:
                    await on_output(name, data)

        timed_out = False
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(pump("stdout", process.stdout), pump("stderr", process.stderr))
                await process.wait_closed()
        except TimeoutError:
            timed_out = True
        if not timed_out and process.exit_status is None:
            raise ConnectionLost("The connection to the host was lost while the command ran.")
        signal = process.exit_signal
        return CommandResult(
            exit_code=None if signal else process.exit_status,
            signal=signal[0] if signal else None,
            stdout=buffers["stdout"].content(),
            stderr=buffers["stderr"].content(),
            stdout_bytes=buffers["stdout"].total,
            stderr_bytes=buffers["stderr"].total,
            stdout_truncated=buffers["stdout"].truncated,
            stderr_truncated=buffers["stderr"].truncated,
            duration_seconds=time.monotonic() - started,
            timed_out=timed_out,
        )

    async def _ready(self) -> asyncssh.SSHClientConnection:
        if self._connection is None:
            try:
                async with asyncio.timeout(2):
                    await self._up.wait()
            except TimeoutError:
                raise self._error from None
        if self._connection is None:
            raise self._error
        return self._connection

    async def _login(self) -> asyncssh.SSHClientConnection:
        config = self._config
        auth, pins = config.auth, config.host_key
        if isinstance(auth, LocalAccount) or isinstance(pins, KnownHosts):
            options: dict[str, object] = {
                "known_hosts": str(pins.file) if isinstance(pins, KnownHosts) and pins.file else ()
            }
        else:
            options = {"config": None, "agent_path": None}
        if not isinstance(auth, LocalAccount):
            credentials = await asyncio.to_thread(load_credentials, auth)
            options |= {"client_keys": list(credentials.client_keys) or None, "password": credentials.password}
        if isinstance(pins, PinnedHostKeys):
            options["known_hosts"] = ([asyncssh.import_public_key(key) for key in pins.public_keys], [], [])
        host = f"{config.target.address}:{config.target.port}"
        try:
            async with asyncio.timeout(config.connection.connect_timeout):
                return await asyncssh.connect(
                    config.target.address,
                    config.target.port,
                    username=config.target.username,
                    keepalive_interval=config.connection.keepalive_interval,
                    keepalive_count_max=config.connection.keepalive_count_max,
                    **options,
                )
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyMismatch(f"{host}: {error.reason}.") from error
        except asyncssh.PermissionDenied as error:
            raise AuthenticationFailed(f"{host}: {error.reason}.") from error
        except asyncssh.Error as error:
            raise ProtocolFailure(f"{host}: {error.reason}.") from error
        except OSError as error:
            raise HostUnreachable(f"{host}: {error or 'no answer'}.") from error

    def _publish(
        self,
        state: LinkState,
        reason: str,
        message: str,
        *,
        fingerprint: str | None = None,
        version: str | None = None,
    ) -> None:
        self._status = LinkStatus(
            state=state,
            reason=reason,
            message=message,
            host_key_fingerprint=fingerprint or self._status.host_key_fingerprint,
            server_version=version or self._status.server_version,
            since=datetime.now(UTC),
        )
        self._on_change()


def _fingerprint(connection: asyncssh.SSHClientConnection) -> str | None:
    key = connection.get_server_host_key()
    return key.get_fingerprint() if key else None
