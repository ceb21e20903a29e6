"""One login: TCP, host key, authentication, on each server of the way. Deadlines are armed before anything is sent."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import asyncssh

from fairlead_sidecar.config import Connection, SidecarConfig
from fairlead_sidecar.errors import HostUnreachable, LinkError
from fairlead_sidecar.ssh import failures
from fairlead_sidecar.ssh.failures import Stage
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys
from fairlead_sidecar.ssh.lean import LeanConnection
from fairlead_sidecar.ssh.offered_keys import AcceptedKey, OfferedKeys
from fairlead_sidecar.ssh.prompts import Answers
from fairlead_sidecar.ssh.route import Hop, place_of, plan_hops
from fairlead_sidecar.ssh.totp import OneTimeCodes
from fairlead_sidecar.ssh.way import Way

STILL_TRYING = "Still trying."
"""In messages of failures that are not final yet."""


class Through(Protocol):
    """What a connection can be made through: a connection to another server, or whatever else carries channels."""

    async def create_connection(
        self, session_factory: Any, remote_host: str, remote_port: int, /
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]:
        """As `asyncssh.SSHClientConnection.create_connection`."""


class Events(asyncssh.SSHClient):
    """What asyncssh reports and asks about one connection."""

    def __init__(self, answers: Answers | None = None, keys: OfferedKeys | None = None) -> None:
        self.presented: asyncssh.SSHKey | None = None
        """The host key (or the key of the authority behind its certificate) that was not trusted."""
        self.on_lost: Callable[[], None] | None = None
        self.way: Way | None = None
        """What this connection to the target runs through, once it is logged in."""
        self.answers = answers
        """None: nothing is asked, or what the connection's options hold answers it."""
        self.keys = keys
        """None: the connection's options say where keys are."""
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def stage(self) -> Stage:
        """How far the login has come."""
        if self._connection is None:
            return Stage.CONNECTING
        return Stage.LOGIN if self._connection.get_extra_info("server_version") else Stage.GREETING

    @property
    def host_key(self) -> asyncssh.SSHKey | None:
        """The key that the server presented, trusted or not; of a certificate by a stranger, the stranger's."""
        if self.presented is not None or self._connection is None:
            return self.presented
        return self._connection.get_server_host_key()

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """TCP is there."""
        LeanConnection.improve(conn)
        self._connection = conn

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a key that is not among the trusted ones: remember it, refuse it."""
        self.presented = key
        return False

    def validate_host_ca_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a certificate of an unknown authority: remember the authority's key, refuse it."""
        self.presented = key
        return False

    def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        """The server wants a key, or another one."""
        key = self.keys.next() if self.keys else None
        return None if key is None else [key]

    def password_auth_requested(self) -> str | None:
        """The server takes a password."""
        return self.answers.plain_password() if self.answers else None

    def password_change_requested(self, prompt: str, _lang: str) -> tuple[str, str]:
        """The server took the password, and wants another one."""
        if self.answers:
            self.answers.refuse_change(prompt)
        return NotImplemented  # type: ignore[no-any-return]  # how asyncssh is told to go on with the next method

    def kbdint_auth_requested(self) -> str | None:
        """The server would ask questions; an empty string lets it choose which."""
        return "" if self.answers and self.answers.begin() else None

    def kbdint_challenge_received(
        self, _name: str, _instructions: str, _lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        """The server asks."""
        return self.answers.answer([prompt for prompt, _echo in prompts]) if self.answers else None

    def connection_lost(self, _exc: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        if self.way:
            self.way.leave()
        if self.on_lost:
            self.on_lost()


@dataclass(slots=True)
class Progress:
    """Where a login that is under way stands; for a provisional status and for what failed logins saw."""

    place: str
    """The hop that is being logged in to, as messages call it."""
    is_target: bool = True
    """False: it is a jump host."""
    events: Events = field(default_factory=Events)
    since: float = 0.0
    """When that hop began (the event loop's time)."""
    waits_for_code: bool = False
    """Nothing is sent yet: there is no unused one-time code before the next period."""

    @property
    def host_key(self) -> asyncssh.SSHKey | None:
        """The host key that the target presented, trusted or not."""
        return self.events.host_key if self.is_target else None

    def begin(self, hop: Hop, events: Events) -> None:
        """The next hop is the one to be logged in to."""
        self.place, self.is_target, self.events, self.waits_for_code = hop.place, hop.is_target, events, False
        self.since = asyncio.get_running_loop().time()

    def provisional(self, seconds: float) -> HostUnreachable | None:
        """What to say of a hop that has not answered for `seconds`, while its deadline is not over."""
        if self.waits_for_code:
            return _waits_for_code(self.place)
        # The timer that asks may have been set a moment before the hop began.
        late = asyncio.get_running_loop().time() - self.since > seconds * 0.9
        if self.events.stage is Stage.LOGIN or not late:
            return None
        error = failures.no_answer(self.place, self.events.stage, seconds)
        return HostUnreachable(f"{error.message} {STILL_TRYING}", hint=error.hint)


@dataclass(frozen=True, slots=True)
class Login:
    """A connection that is authenticated, to a host whose key was verified."""

    connection: asyncssh.SSHClientConnection
    events: Events
    offered: str
    """The credentials, for messages."""
    key: AcceptedKey | None
    """The key that the server accepted; None: another credential, or it can't be told."""
    successor: AcceptedKey | None
    """The key that is to follow the others once the server accepts it."""
    problem: LinkError | None
    """Why a successor that is there can't be offered."""
    trusted: TrustedHostKeys
    """What the host key was verified with."""
    host_key: asyncssh.SSHKey | None
    server_version: str
    way: Way
    uses_codes: bool = False
    """Whether a login on the way here took a one-time code."""

    @property
    def fingerprint(self) -> str | None:
        """`SHA256:…` of the host key."""
        return self.host_key.get_fingerprint() if self.host_key else None

    @property
    def lags(self) -> bool:
        """Whether there is a successor and the server did not accept it."""
        return self.successor is not None and self.key != self.successor

    async def wait_closed(self) -> None:
        """Wait until this connection is gone, and those to jump hosts that carry no other."""
        await self.connection.wait_closed()
        await self.way.wait_closed()

    def set_keepalive(self, interval: float, count_max: int) -> None:
        """Change how the connection, and those to jump hosts, are watched."""
        self.way.set_keepalive(interval, count_max)
        self.connection.set_keepalive(interval, count_max)


def new_progress(config: SidecarConfig) -> Progress:
    """The beginning of a login to the configuration's target."""
    return Progress(place_of(config.target.address, config.target.port))


def _waits_for_code(place: str) -> HostUnreachable:
    return HostUnreachable(
        f"The login to {place} waits for the next one-time code, because each is taken only once.",
        hint="Try again in half a minute.",
    )


async def login(
    config: SidecarConfig, progress: Progress, codes: OneTimeCodes, *, beside: Login | None = None
) -> Login:
    """Log in with credentials read afresh, to each jump host and then to the target.

    Each hop has the whole connect timeout, which does not run while it waits for an unused one-time code.

    Args:
        config: Target, jump hosts, credentials, trusted host keys and timeouts.
        progress: Kept up to date meanwhile.
        codes: Shared by all logins to this host.
        beside: A login with the same configuration that the new one is only to relieve. It takes the same way through
            the jump hosts, as long as that is there, and fails rather than waits for an unused one-time code: it would
            stand in line before a login that is needed by then, and be made when nobody wants it any more.

    Raises:
        LinkError: It did not work; the class says why.
    """
    # Reading keys may take tens of milliseconds of processor time.
    *jumps, target = await asyncio.to_thread(plan_hops, config)
    uses_codes = any(hop.totp is not None for hop in (*jumps, target))
    way = Way()
    if beside is not None:
        if beside.way.usable:
            way, jumps = beside.way, []
        for hop in (*jumps, target):
            if hop.totp is not None and codes.busy(hop.totp):
                raise _waits_for_code(hop.place)
    way.join()
    try:
        for hop in jumps:
            passed = await log_in(config.connection, hop, way.end, progress, codes, via=way.via)
            way.extend(hop.place, passed.connection)
        logged_in = await log_in(config.connection, target, way.end, progress, codes, via=way.via)
    except BaseException:
        way.leave()
        raise
    logged_in.events.way = way
    return replace(logged_in, way=way, uses_codes=uses_codes)


async def log_in(
    settings: Connection, hop: Hop, tunnel: Through | None, progress: Progress, codes: OneTimeCodes, *, via: str = ""
) -> Login:
    """Log in to one server, through `tunnel` where there is one, which messages call `via`; see `login`."""
    totp = hop.totp
    answers = Answers(hop.username, hop.password, None if totp is None else lambda: codes.take(totp))
    keys = OfferedKeys(hop.keys) if hop.keys else None
    events = Events(answers, keys)
    progress.begin(hop, events)

    def waits(_seconds: float) -> None:
        progress.waits_for_code = True

    async with codes.turn(totp, waits):
        progress.begin(hop, events)
        try:
            async with asyncio.timeout(settings.connect_timeout):
                connection = await _connect(settings, hop, events, tunnel)
        except TimeoutError as error:
            raise failures.no_answer(hop.place, events.stage, settings.connect_timeout) from error
        except (asyncssh.Error, OSError) as error:
            raise _explain(hop, events, error, via) from error
    events.answers = events.keys = None
    return Login(
        connection=connection,
        events=events,
        offered=hop.offered,
        key=keys.accepted if keys else None,
        successor=hop.successor,
        problem=hop.problem,
        trusted=hop.trusted,
        host_key=connection.get_server_host_key(),
        server_version=str(connection.get_extra_info("server_version")),
        way=Way(),
    )


async def _connect(
    settings: Connection, hop: Hop, events: Events, tunnel: Through | None
) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
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
        login_timeout=settings.connect_timeout,
        keepalive_interval=settings.keepalive_interval,
        keepalive_count_max=settings.keepalive_count_max,
        **hop.options,
    )


def _explain(hop: Hop, events: Events, error: asyncssh.Error | OSError, via: str) -> LinkError:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return failures.untrusted_host_key(hop.place, hop.host, hop.trusted, events.presented, error.reason)
    if isinstance(error, asyncssh.PermissionDenied):
        return failures.refused_login(hop.place, hop.username, hop.offered, events.answers, hop.refusal_hint)
    if isinstance(error, asyncssh.ChannelOpenError):
        return failures.not_forwarded(hop.place, via, error)
    if isinstance(error, asyncssh.Error):
        return failures.from_asyncssh(hop.place, error, events.stage)
    return failures.from_os(hop.place, error, events.stage)
