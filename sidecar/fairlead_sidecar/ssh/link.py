"""The link to one host: keeps it up, says how it stands, gives out sessions on it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress

import asyncssh

from fairlead_sidecar.config import HostKeyRefusal, KnownHosts, SidecarConfig, Target, trust_digest
from fairlead_sidecar.errors import ConnectionLost, HostKeyMismatch, HostKeyNotPinned, HostUnreachable, LinkError
from fairlead_sidecar.ssh.backoff import Backoff
from fairlead_sidecar.ssh.credentials import FilesVersion
from fairlead_sidecar.ssh.direct import DirectStream, Tunnel
from fairlead_sidecar.ssh.held import Held, Holds, OnStderr
from fairlead_sidecar.ssh.limit import SessionLimit
from fairlead_sidecar.ssh.login import Login, Progress, login, new_progress
from fairlead_sidecar.ssh.marker import instance_of
from fairlead_sidecar.ssh.observer import NullObserver, Observer
from fairlead_sidecar.ssh.pool import CLOSE_SECONDS, Pool, PoolGone
from fairlead_sidecar.ssh.reaper import Reaper
from fairlead_sidecar.ssh.report import MAX_MESSAGE, Report
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import CommandEnd, Sink
from fairlead_sidecar.ssh.route import credentials_version, trusted_keys
from fairlead_sidecar.ssh.runner import Runner
from fairlead_sidecar.ssh.totp import OneTimeCodes
from fairlead_sidecar.statusz import LinkStatus

PROVISIONAL_SECONDS = 3.0
"""After which a connect without any answer is reported, while it goes on."""
STEADY_SECONDS = 10.0
"""A connection that lasted less counts as a failure when it is made again."""
CALL_WAIT_SECONDS = 2.0
"""How long a call waits for a link that is not up."""
TRIAL_SECONDS = 60.0
"""Between two trials whether the host accepts the next credentials."""
_LOOK_SECONDS = 1.0
"""How often the credential files are looked at."""
_NUDGE_SECONDS = 1.0
"""The least time between the attempts that calls ask for."""

log = logging.getLogger(__name__)


class Link:
    """One host, reached through a pool of connections that is kept up by `run`."""

    def __init__(
        self,
        config: SidecarConfig,
        *,
        on_change: Callable[[], None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        """Prepare the link; nothing is connected before `run`.

        Args:
            config: Target, credentials, trusted host keys, timeouts.
            on_change: Called after `status()` has changed.
            observer: Gets what is counted.
        """
        self._config = config
        self.observer: Observer = observer or NullObserver()
        self._report = Report(on_change, self.observer)
        self._pool: Pool | None = None
        self._former: list[Pool] = []
        """Pools whose last commands are still running."""
        self._login: Login | None = None
        self._error: LinkError | None = None
        self._up = asyncio.Event()
        self._wake = asyncio.Event()
        self._attempt_task: asyncio.Task[Login] | None = None
        self._attempted_at = 0.0
        self._changed = False
        self._was_up = False
        self._reaper = Reaper(self._current)
        self._runner = Runner(self._up_by, lambda: self._config, self._reaper, self.observer)
        self._holds = Holds(self._up_by, lambda: self._config, self._reaper, self.observer)
        self.tunnel = Tunnel(lambda: self._ready(asyncio.get_running_loop().time() + CALL_WAIT_SECONDS))
        """For `asyncssh.connect(tunnel=…)`: an SSH connection to where the host can reach; errors as with
        `open_connection`."""
        self._limit = SessionLimit()
        self._works: set[asyncio.Task[None]] = set()
        """What is asked of the host besides the commands."""
        self._swept = False
        self._codes = OneTimeCodes()
        self._transport = Backoff(first=0.2, cap=10)
        self._refusal: HostKeyRefusal | None = None
        """While there is one, nothing is connected."""

    def status(self) -> LinkStatus:
        """How the link stands now."""
        return self._report.status

    @property
    def certificate_serial(self) -> int | None:
        """Of the user certificate that the connections in use were logged in with; None: without one, or none is up."""
        key = self._login.key if self._login is not None and self._pool is not None else None
        return key.certificate_serial if key is not None else None

    async def run(self) -> None:
        """Keep the link up until cancelled; then every connection is closed."""
        transport, refusals = self._transport, Backoff(first=2, cap=60)
        self._obey(self._config)
        try:
            while True:
                if self._refusal is not None:
                    await self._woken(_LOOK_SECONDS)
                    continue
                credentials = self._credentials_version()
                try:
                    logged_in = await self._attempt()
                except LinkError as error:
                    self._error = error
                    # A server may lock an account whose logins fail, so those are not repeated as often.
                    quick = error.retriable and not isinstance(error, HostKeyNotPinned)
                    if await self._pause((transport if quick else refusals).next(), credentials):
                        refusals.reset()
                    continue
                refusals.reset()
                self._install(logged_in)
                up_at = asyncio.get_running_loop().time()
                await self._stay(credentials)
                if asyncio.get_running_loop().time() - up_at > STEADY_SECONDS:
                    transport.reset()
                await self._pause(transport.next(), credentials)
        finally:
            for work in self._works:
                work.cancel()
            await self._holds.close()
            await self._reaper.close()
            pools, self._pool = [*self._former, *([self._pool] if self._pool else [])], None
            # Else calls that still come would wait for a pool without ever giving way.
            self._up.clear()
            for pool in pools:
                pool.abort()
                await pool.wait_closed()

    async def reconfigure(self, config: SidecarConfig) -> None:
        """Put a new configuration into force.

        New credentials: a new login; where it succeeds, the old connections end with their last command; where it
        fails, they stay and the status says so. Another target or way to it, or host keys other than the one the host
        presented: connect anew. Everything else takes effect at once. A refusal because of a host key ends where what
        it was judged by has changed.
        """
        old, self._config = self._config, config
        needs_login = _credentials(config) != _credentials(old)
        moved, new_trust = _route(config) != _route(old), _trust(config) != _trust(old)
        decided = self._refusal is not None and self._refusal.trust != trust_digest(config)
        if decided:
            self._refusal = self._error = None
            needs_login = True
        if moved or new_trust:
            # What failed or never lasted before says nothing about what is asked for now.
            self._transport.reset()
        if moved:
            self._limit = SessionLimit()
            needs_login = True
            self._leave(drain=True)
        elif new_trust and not (_trust(config)[:-1] == _trust(old)[:-1] and self._still_trusted()):
            needs_login = True
            self._leave(drain=False)
        if self._pool is not None:
            self._pool.configure(config.environment, config.connection.max_connections)
            self._pool.set_keepalive(config.connection.keepalive_interval, config.connection.keepalive_count_max)
        elif needs_login and self._refusal is None:
            self._report.connecting(new_progress(config).place)
        self._obey(config)
        if self._refusal is not None:
            # Whatever else has changed, nobody has decided about the key.
            self._error = _mismatch(self._refusal)
        if needs_login:
            self._changed = True
            if self._attempt_task is not None:
                self._attempt_task.cancel()
            self._wake.set()

    async def run_command(
        self, request: CommandRequest, *, timeout: float, idle_timeout: float | None = None, sink: Sink
    ) -> CommandEnd:
        """Run a command on the host.

        A command that is cancelled or past its deadline is killed on the host with all its processes, below sudo too;
        where the connection does not allow that, as soon as there is one again.

        Args:
            request: What to run.
            timeout: Seconds for waiting and running together.
            idle_timeout: Seconds without any output after which it is killed.
            sink: Gets all output.

        Raises:
            InvalidRequest: Empty, too long, holds a NUL, or there is no such working directory; it was not run.
            SudoFailed: sudo refused; it was not run.
            TooBusy: No session became free in time.
            LinkError: There is no connection, or it broke while the command ran.
        """
        with self._naming_refusal():
            return await self._runner.run(request, timeout=timeout, idle_timeout=idle_timeout, sink=sink)

    def hold(
        self, request: CommandRequest, *, timeout: float, on_stderr: OnStderr
    ) -> AbstractAsyncContextManager[Held]:
        """Run a command whose input stays open until the context is left.

        Leaving ends its input, and after `GRACE_SECONDS` the command itself with all its processes, and those that it
        leaves behind when it exits; where the connection is lost, as soon as there is one again.

        Args:
            request: What to run; input that it holds is given first.
            timeout: Seconds within which it has to have been started.
            on_stderr: Gets what it writes to its standard error.

        Raises:
            InvalidRequest, SudoFailed, TooBusy, LinkError: As `run_command`, while it is started.
        """
        return self._holds.hold(request, timeout=timeout, on_stderr=on_stderr)

    @asynccontextmanager
    async def sftp(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """An SFTP session, shared by all who are in this context.

        Raises:
            LinkError: There is no connection.
            FileError: The host offers no SFTP.
            TooBusy: The server gives no session for it.
        """
        deadline = asyncio.get_running_loop().time() + CALL_WAIT_SECONDS
        while True:
            pool = await self._ready(deadline)
            with suppress(PoolGone):
                client = await pool.acquire_sftp()
                break
        try:
            with self._naming_refusal():
                yield client
        finally:
            pool.release_sftp()

    async def open_connection(self, host: str, port: int) -> DirectStream:
        """A TCP connection from the host to an address that it can reach. The caller sets the deadline, and closes it.

        Raises:
            LinkError: There is no connection to the host.
            ForwardingRefused: The host's SSH server does not let it through.
            NotListening: The address does not accept connections.
        """
        return await self.tunnel.open(host, port)

    # --- for calls ---

    async def _up_by(self, deadline: float) -> tuple[Pool, Target]:
        pool = self._pool or await self._ready(deadline)
        return pool, self._config.target

    async def _ready(self, deadline: float) -> Pool:
        """The pool that is up; waits a moment for one, no longer than `deadline` (the event loop's time)."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + CALL_WAIT_SECONDS)):
                while self._pool is None:
                    if self._attempt_task is None and self._error is not None and not self._error.retriable:
                        raise _copy(self._error)
                    # Whoever waits should not have to sit out the back-off.
                    self._wake.set()
                    await self._up.wait()
                return self._pool
        except TimeoutError:
            raise _copy(self._error or HostUnreachable("The host is still being connected to.")) from None

    @contextmanager
    def _naming_refusal(self) -> Iterator[None]:
        """Say of what breaks because of a host key that it was that."""
        try:
            yield
        except ConnectionLost:
            if self._refusal is None:
                raise
            raise _mismatch(self._refusal) from None

    def _current(self) -> tuple[Pool, Target] | None:
        return None if self._pool is None else (self._pool, self._config.target)

    # --- host keys that do not match ---

    async def _log_in(self, config: SidecarConfig, progress: Progress, beside: Login | None = None) -> Login:
        try:
            return await login(config, progress, self._codes, beside=beside)
        except HostKeyMismatch as error:
            # Who keeps a file of known hosts decides by changing that.
            if error.public_key is not None and not isinstance(config.host_key, KnownHosts):
                refusal = HostKeyRefusal(
                    public_key=error.public_key, message=error.message[:MAX_MESSAGE], trust=trust_digest(config)
                )
                if refusal.trust == trust_digest(self._config):
                    self._refuse(refusal, progress.host_key)
            raise

    def _obey(self, config: SidecarConfig) -> None:
        """Refuse to connect where the configuration says so."""
        told = config.host_key_refusal
        if self._refusal is None and told is not None and told.trust == trust_digest(config):
            self._refuse(told)

    def _refuse(self, refusal: HostKeyRefusal, presented: asyncssh.SSHKey | None = None) -> None:
        """End everything of the host, and connect no more."""
        self._refusal = refusal
        self._leave(drain=False)
        for former in self._former:
            former.abort()
        self._error = _mismatch(refusal)
        self._report.failed(self._error, presented, refusal)

    # --- one attempt ---

    async def _attempt(self) -> Login:
        """Log in with the configuration in force, however often that changes meanwhile."""
        while True:
            if self._refusal is not None:
                raise _mismatch(self._refusal)
            config, self._changed = self._config, False
            progress = new_progress(config)
            attempt = self._attempt_task = asyncio.get_running_loop().create_task(self._log_in(config, progress))
            try:
                logged_in = await self._watch_attempt(attempt, progress)
                if not self._changed and self._refusal is None:
                    return logged_in
                # The configuration changed in the very moment of success, or another connection saw a wrong key.
                logged_in.connection.abort()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # `reconfigure` did that: begin anew.
            except LinkError as error:
                if self._refusal is None:
                    self._failed(error, progress.host_key)
                raise
            finally:
                self._attempt_task = None
                self._attempted_at = asyncio.get_running_loop().time()
                if attempt.cancel():
                    await asyncio.wait({attempt}, timeout=CLOSE_SECONDS)

    async def _watch_attempt(self, attempt: asyncio.Task[Login], progress: Progress) -> Login:
        while not (await asyncio.wait({attempt}, timeout=PROVISIONAL_SECONDS))[0]:
            error = progress.provisional(PROVISIONAL_SECONDS)
            if error is None:
                continue
            if not progress.waits_for_code:
                self._failed(error)
            elif self._pool is None and (self._error is None or self._error.retriable):
                # Unlike this, a refusal stays on show while the next try waits for its one-time code.
                self._error = error
                self._report.waiting(error.message)
        return await attempt

    def _failed(self, error: LinkError, presented: asyncssh.SSHKey | None = None) -> None:
        if self._pool is not None:
            self._report.connected_but(error)
        else:
            self._error = error
            self._report.failed(error, presented)

    async def _pause(self, seconds: float, credentials: FilesVersion) -> bool:
        """Wait for the next attempt; whether something changed that makes success likely."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            if self._changed or self._credentials_version() != credentials:
                return True
            woken = await self._woken(min(left, _LOOK_SECONDS))
            if woken and self._error is not None and self._error.retriable:
                # A call waits.
                until = min(until, self._attempted_at + _NUDGE_SECONDS)
        return False

    async def _woken(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    # --- while it is up ---

    def _install(self, logged_in: Login) -> None:
        """Let calls use a new connection; a former pool ends with its last command."""
        former = self._pool
        config = self._config
        self._login = logged_in
        self._error = None

        async def further() -> Login:
            return await self._log_in(config, new_progress(config), beside=logged_in)

        pool = Pool(
            logged_in,
            further,
            instance=instance_of(config.instance),
            environment=config.environment,
            max_connections=config.connection.max_connections,
            limit=self._limit,
            on_lost=lambda: self._lost(pool),
        )
        self._pool = pool
        works = [self._runner.capture(pool, config.target)]
        if not self._swept:
            self._swept = True
            works.append(self._runner.sweep(pool, config.target))
        for work in works:
            task = asyncio.get_running_loop().create_task(work)
            self._works.add(task)
            task.add_done_callback(self._works.discard)
        if former is not None:
            self._drain(former)
        elif self._was_up:
            self.observer.on_reconnect()
        self._was_up = True
        place = new_progress(config).place
        self._report.connected(
            f"Logged in to {place} as {config.target.username} with {logged_in.offered}.",
            logged_in,
        )
        self._up.set()
        self._reaper.connected()

    async def _stay(self, credentials: FilesVersion) -> None:
        """While the link is up: log in anew when the credentials change. Returns when it is down."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(first=2, cap=60)
        again: float | None = None
        trial_at = loop.time() + TRIAL_SECONDS
        while self._pool is not None:
            await self._woken(_LOOK_SECONDS)
            if loop.time() >= trial_at:
                await self._try_successor()
                trial_at = loop.time() + TRIAL_SECONDS
            version = self._credentials_version()
            if version != credentials or self._changed:
                credentials, again, self._changed = version, loop.time(), False
                backoff.reset()
            if self._pool is None or again is None or loop.time() < again:
                continue
            try:
                logged_in = await self._attempt()
            except LinkError:
                again = loop.time() + backoff.next()
            else:
                again = None
                self._install(logged_in)

    async def _try_successor(self) -> None:
        """See whether the host accepts by now the key that is to follow the one in use."""
        present, config = self._login, self._config
        # A one-time code is taken only once: those are kept for logins that are needed.
        if present is None or not present.lags or present.uses_codes:
            return
        try:
            trial = await self._log_in(config, new_progress(config), beside=present)
        except LinkError as error:
            log.info("The trial of the next credentials failed: %s", error.message)
            return
        if trial.lags or self._changed or self._pool is None:
            trial.connection.close()
        else:
            self._install(trial)

    def _lost(self, pool: Pool) -> None:
        """The last connection of a pool is gone."""
        if pool is not self._pool:
            return
        self._pool = None
        self._up.clear()
        self._error = ConnectionLost(
            f"The connection to {new_progress(self._config).place} was lost.", hint="It is being made again."
        )
        self._report.failed(self._error)
        self._wake.set()

    def _leave(self, *, drain: bool) -> None:
        """The configuration wants another connection."""
        pool, self._pool = self._pool, None
        self._up.clear()
        self._error = None
        self._was_up = False
        if pool is not None:
            if drain:
                # What comes through them is of the host that is left.
                pool.direct.abort()
                self._holds.leave(pool)
                self._drain(pool)
            else:
                pool.abort()

    def _drain(self, pool: Pool) -> None:
        pool.drain()
        self._former = [former for former in [*self._former, pool] if former.alive]

    def _still_trusted(self) -> bool:
        if self._login is None or self._login.fingerprint is None:
            return False
        try:
            return trusted_keys(self._config).trusts_as(self._login.trusted, self._login.fingerprint)
        except LinkError:
            return False

    def _credentials_version(self) -> FilesVersion:
        return credentials_version(self._config)


def _route(config: SidecarConfig) -> list[Target]:
    return [*(jump.target for jump in config.jump_hosts), config.target]


def _trust(config: SidecarConfig) -> list[object]:
    return [*(jump.host_key for jump in config.jump_hosts), config.host_key]


def _credentials(config: SidecarConfig) -> list[object]:
    return [*(jump.auth for jump in config.jump_hosts), config.auth, config.credentials_version]


def _mismatch(refusal: HostKeyRefusal) -> HostKeyMismatch:
    return HostKeyMismatch(refusal.message)


def _copy(error: LinkError) -> LinkError:
    # Each caller gets an exception of its own: one that is raised again and again collects tracebacks.
    return type(error)(error.message, hint=error.hint)
