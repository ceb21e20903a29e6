"""One login: TCP, host key, authentication. Every deadline is armed before anything is sent."""

import asyncio
import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from fairlead_sidecar.config import KnownHosts, LocalAccount, PinnedHostKeys, SecretFiles, SidecarConfig
from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh import failures, local_account
from fairlead_sidecar.ssh.credentials import load_credentials
from fairlead_sidecar.ssh.failures import Stage
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys, known_keys, pinned_keys

CIPHERS = (
    # GCM first: hardware does it, and it costs half the processor time of ChaCha20.
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)


class Events(asyncssh.SSHClient):
    """What asyncssh reports about one connection."""

    def __init__(self) -> None:
        self.presented: asyncssh.SSHKey | None = None
        """The host key (or the key of the authority behind its certificate) that was not trusted."""
        self.on_lost: Callable[[], None] | None = None
        self.tunnel: asyncssh.SSHClientConnection | None = None
        """The connection to the jump host that this one runs through; it ends with this one."""
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def stage(self) -> Stage:
        """How far the login has come."""
        if self._connection is None:
            return Stage.CONNECTING
        return Stage.LOGIN if self._connection.get_extra_info("server_version") else Stage.GREETING

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """TCP is there."""
        self._connection = conn

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a key that is not among the trusted ones: remember it, refuse it."""
        self.presented = key
        return False

    def validate_host_ca_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a certificate of an unknown authority: remember the authority's key, refuse it."""
        self.presented = key
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        if self.tunnel:
            self.tunnel.close()
        if self.on_lost:
            self.on_lost()


@dataclass(slots=True)
class Progress:
    """Where a login that is under way stands; for a provisional status and for what failed logins saw."""

    place: str
    """`address:port` of the hop that is being logged in to."""
    events: Events = field(default_factory=Events)

    @property
    def fingerprint(self) -> str | None:
        """`SHA256:…` of an untrusted host key that was presented."""
        return self.events.presented.get_fingerprint() if self.events.presented else None


@dataclass(frozen=True, slots=True)
class Login:
    """A connection that is authenticated, to a host whose key was verified."""

    connection: asyncssh.SSHClientConnection
    events: Events
    offered: str
    """The credentials, for messages."""
    fingerprint: str | None
    server_version: str

    async def wait_closed(self) -> None:
        """Wait until this connection and those to jump hosts are gone."""
        await self.connection.wait_closed()
        if self.events.tunnel:
            await self.events.tunnel.wait_closed()


@dataclass(frozen=True, slots=True)
class Hop:
    """One server to log in to, the target or a jump host before it."""

    host: str
    port: int
    username: str
    trusted: TrustedHostKeys
    offered: str
    options: dict[str, Any] = field(repr=False)
    """Further arguments of `asyncssh.connect`, secrets among them."""

    @property
    def place(self) -> str:
        """`address:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def new_progress(config: SidecarConfig) -> Progress:
    """The beginning of a login to the configuration's target."""
    return Progress(f"{config.target.address}:{config.target.port}")


async def login(config: SidecarConfig, progress: Progress) -> Login:
    """Log in with credentials read afresh.

    Args:
        config: Target, credentials, trusted host keys and timeouts.
        progress: Kept up to date meanwhile.

    Raises:
        LinkError: It did not work; the class says why.
    """
    seconds = config.connection.connect_timeout
    tunnel: asyncssh.SSHClientConnection | None = None
    try:
        async with asyncio.timeout(seconds):
            # Reading keys may take tens of milliseconds of processor time.
            for hop in await asyncio.to_thread(plan_hops, config):
                progress.place, progress.events = hop.place, Events()
                result = await _connect(config, hop, progress.events, tunnel)
                progress.events.tunnel, tunnel = tunnel, result.connection
    except BaseException as error:
        if tunnel is not None:
            tunnel.abort()
        if isinstance(error, TimeoutError):
            raise failures.no_answer(progress.place, progress.events.stage, seconds) from error
        raise
    return result


def plan_hops(config: SidecarConfig) -> list[Hop]:
    """The servers to log in to, in order; the last one is the target. Reads files.

    Raises:
        LinkError: Credentials or trusted host keys are missing or can't be read.
    """
    if isinstance(config.auth, LocalAccount):
        return [_local_hop(config, hop) for hop in local_account.resolve(config.target, config.auth)]
    return [_secret_hop(config, config.auth)]


def _secret_hop(config: SidecarConfig, auth: SecretFiles) -> Hop:
    _need_local_username()
    target = config.target
    credentials = load_credentials(auth)
    return Hop(
        host=target.address,
        port=target.port,
        username=target.username,
        trusted=trusted_keys(config),
        offered=credentials.description,
        options={
            # Nothing of the surroundings: neither ~/.ssh nor an agent.
            "config": None,
            "agent_path": None,
            # None, not an empty list, which would mean the key files of the home directory.
            "client_keys": list(credentials.client_keys) or None,
            "password": credentials.password,
            "encryption_algs": list(CIPHERS),
        },
    )


def _local_hop(config: SidecarConfig, hop: local_account.LocalHop) -> Hop:
    pins = config.host_key
    if isinstance(pins, PinnedHostKeys) and hop.is_target:
        trusted = pinned_keys(pins)
    else:
        files = [pins.file] if isinstance(pins, KnownHosts) and pins.file else hop.known_hosts
        trusted = known_keys(files, hop.host_key_name, hop.port)
    ciphers = {} if hop.chooses_ciphers else {"encryption_algs": list(CIPHERS)}
    return Hop(hop.host, hop.port, hop.username, trusted, hop.offered, {**hop.options, **ciphers})


def trusted_keys(config: SidecarConfig) -> TrustedHostKeys:
    """The keys that the target may present, where no SSH configuration of a person has a say.

    Raises:
        HostKeyMismatch: A pin can't be read.
    """
    if isinstance(config.host_key, PinnedHostKeys):
        return pinned_keys(config.host_key)
    files = [config.host_key.file] if config.host_key.file else local_account.default_known_hosts()
    return known_keys(files, config.target.address, config.target.port)


async def _connect(
    config: SidecarConfig, hop: Hop, events: Events, tunnel: asyncssh.SSHClientConnection | None
) -> Login:
    try:
        connection = await asyncssh.connect(
            hop.host,
            hop.port,
            username=hop.username,
            known_hosts=hop.trusted.known_hosts,
            server_host_key_algs=hop.trusted.algorithms,
            client_factory=lambda: events,
            tunnel=tunnel,
            # Kerberos and X.509 would be ways around the host key check.
            gss_host=None,
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            login_timeout=config.connection.connect_timeout,
            keepalive_interval=config.connection.keepalive_interval,
            keepalive_count_max=config.connection.keepalive_count_max,
            **hop.options,
        )
    except (asyncssh.Error, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise _explain(hop, events, error) from error
    key = connection.get_server_host_key()
    return Login(
        connection=connection,
        events=events,
        offered=hop.offered,
        fingerprint=key.get_fingerprint() if key else None,
        server_version=str(connection.get_extra_info("server_version")),
    )


def _explain(hop: Hop, events: Events, error: asyncssh.Error | OSError) -> LinkError:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return failures.untrusted_host_key(hop.place, hop.trusted, events.presented, error.reason)
    if isinstance(error, asyncssh.PermissionDenied):
        return failures.refused_login(hop.place, hop.username, hop.offered)
    if isinstance(error, asyncssh.Error):
        return failures.from_asyncssh(hop.place, error, events.stage)
    return failures.from_os(hop.place, error)


def _need_local_username() -> None:
    # asyncssh asks for the local user's name, which a numeric container user has not.
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "fairlead"
