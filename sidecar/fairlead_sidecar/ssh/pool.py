"""The connections to one host, and the waiting shells on them.

A server allows some sessions per connection (MaxSessions, 10 unless changed); nobody tells how many. So a connection
is given at most 8 commands, two places stay for a kill and for SFTP, and a refused session is tried again a moment
later or on another connection.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import asyncssh

from fairlead_sidecar.errors import FairleadError, FileError, LinkError, ProtocolFailure, TooBusy
from fairlead_sidecar.ssh.launcher import WINDOW, Launcher, not_a_shell
from fairlead_sidecar.ssh.login import Login

COMMANDS_PER_CONNECTION = 8
SESSIONS_PER_CONNECTION = 10
WARM = 2
"""Shells that wait ahead of need, per pool."""
STARTUP_SECONDS = 60.0
"""Within which a shell has to be ready."""
IDLE_SECONDS = 30.0
"""After which a connection beyond the first is closed."""
_REFUSED_FIRST = 0.004
_REFUSED_CAP = 0.25
_GROW_AGAIN = 1.0

log = logging.getLogger(__name__)


class PoolGone(Exception):
    """The pool has no connection any more, or takes no new work; what was asked for did not happen."""


class _Member:
    """One connection."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self.connection = login.connection
        self.sessions = 0
        self.refused = 0
        """Refusals in a row."""
        self.blocked_until = 0.0
        self.idle_since: float | None = None

    def accepts(self, limit: int, now: float) -> bool:
        return self.sessions < limit and now >= self.blocked_until


class Pool:
    """Gives out waiting shells, each for one command."""

    def __init__(
        self,
        first: Login,
        login: Callable[[], Awaitable[Login]],
        *,
        max_connections: int,
        on_lost: Callable[[], None],
    ) -> None:
        """Take over the `first` connection; make further ones with `login`; tell `on_lost` when none is left."""
        self._login = login
        self.max_connections = max_connections
        self._on_lost = on_lost
        self._members: list[_Member] = []
        self._warm: deque[Launcher] = deque()
        self._waiting: deque[asyncio.Future[Launcher]] = deque()
        self._urgent: deque[asyncio.Future[Launcher]] = deque()
        self._owner: dict[Launcher, _Member] = {}
        self._starting = 0
        self._growing = False
        self._grow_not_before = 0.0
        self._warming = True
        self._draining = False
        self._closing: list[Login] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._sftp_member: _Member | None = None
        self._sftp_users = 0
        self._sftp_lock = asyncio.Lock()
        self._add(first)
        self._balance()

    @property
    def alive(self) -> bool:
        """Whether there is a connection left."""
        return bool(self._members)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._members)

    async def launcher(self, *, urgent: bool = False) -> Launcher:
        """A shell that waits for a command; the caller sets the deadline.

        Args:
            urgent: For a kill: goes before all others, into the places that are kept free.

        Raises:
            PoolGone: There is no connection any more.
            ProtocolFailure: The account does not start a shell.
        """
        if not self._members or (self._draining and not urgent):
            raise PoolGone
        while self._warm:
            launcher = self._warm.popleft()
            if not launcher.closed:
                self._soon()
                return launcher
        future: asyncio.Future[Launcher] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._waiting).append(future)
        self._balance()
        try:
            return await future
        except asyncio.CancelledError:
            # It may have arrived at the very moment the caller gave up.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._arrived(future.result())
            raise

    async def acquire_sftp(self) -> asyncssh.SFTPClient:
        """The pool's SFTP session, opened when needed; many may use it at once. `release_sftp` follows each use.

        Raises:
            PoolGone: There is no connection any more.
            FileError: The host offers no SFTP.
            TooBusy: The server gave no session for it.
        """
        async with self._sftp_lock:
            client = self._sftp or await self._open_sftp()
            self._sftp_users += 1
            return client

    def release_sftp(self) -> None:
        """One user less."""
        self._sftp_users -= 1
        if self._draining and self._sftp_member is not None:
            self._close_if_unused(self._sftp_member)

    def too_busy(self) -> FairleadError:
        """Why a caller of `launcher` waited in vain."""
        if self._starting:
            return ProtocolFailure(
                "The account's login shell did not become ready in time.",
                hint="Look at its start-up files (.bashrc, .zshenv) and at the host's load.",
            )
        return TooBusy("No SSH session to the host became free in time.")

    def set_keepalive(self, interval: float, count_max: int) -> None:
        """Change how the open connections are watched."""
        for member in self._members:
            member.connection.set_keepalive(interval, count_max)

    def drain(self) -> None:
        """Take no new commands; each connection closes when its last command has ended."""
        self._draining = True
        self._fail_waiting(PoolGone())
        while self._warm:
            self._warm.popleft().close()
        for member in list(self._members):
            self._close_if_unused(member)

    def abort(self) -> None:
        """Close everything at once; running commands get `ConnectionLost`."""
        self._draining = True
        for task in self._tasks:
            task.cancel()
        for member in list(self._members):
            self._closing.append(member.login)
            member.connection.abort()
            self._lost(member)

    async def wait_closed(self) -> None:
        """After `abort`: wait until the connections are gone."""
        if self._closing:
            await asyncio.wait([asyncio.ensure_future(login.wait_closed()) for login in self._closing], timeout=1)

    # --- connections ---

    def _add(self, login: Login) -> None:
        member = _Member(login)
        self._members.append(member)
        login.events.on_lost = lambda: self._lost(member)

    def _lost(self, member: _Member) -> None:
        if member not in self._members:
            return
        self._members.remove(member)
        if member is self._sftp_member:
            self._sftp = self._sftp_member = None
        if not self._members:
            self._fail_waiting(PoolGone())
            self._fail(self._urgent, PoolGone())
            if self._retry:
                self._retry.cancel()
            self._on_lost()
        else:
            self._balance()

    def _grow(self, limit: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._growing or len(self._members) >= limit or now < self._grow_not_before or self._draining:
            return
        self._growing = True
        self._spawn(self._add_connection())

    async def _add_connection(self) -> None:
        try:
            login = await self._login()
        except LinkError as error:
            log.warning("A further connection to the host could not be made: %s", error.message)
            self._grow_not_before = asyncio.get_running_loop().time() + _GROW_AGAIN
        else:
            if self._members and not self._draining:
                self._add(login)
            else:
                login.connection.abort()
        finally:
            self._growing = False
        self._balance()

    def _close_if_unused(self, member: _Member) -> None:
        """Close a connection that nothing runs on any more: after a while, or at once when draining."""
        if member not in self._members or self._busy(member):
            member.idle_since = None
            return
        if self._draining:
            member.connection.close()
            return
        if member is self._members[0]:
            return
        loop = asyncio.get_running_loop()
        if member.idle_since is None:
            member.idle_since = loop.time()
            loop.call_later(IDLE_SECONDS, self._close_if_unused, member)
        elif loop.time() - member.idle_since >= IDLE_SECONDS * 0.99:
            self._drop_warm(member)
            member.connection.close()

    def _busy(self, member: _Member) -> bool:
        idle = sum(self._owner.get(launcher) is member for launcher in self._warm)
        idle += member is self._sftp_member and not self._sftp_users
        return member.sessions > idle

    # --- waiting shells ---

    def _soon(self) -> None:
        """Balance after the caller has sent its command, so that the refill does not stand in its way."""
        asyncio.get_running_loop().call_soon(self._balance)

    def _balance(self) -> None:
        """Start as many shells as are waited for, and a few ahead of need; grow when there is no room."""
        if not self._members:
            return
        self._drop_cancelled()
        missing = len(self._urgent) + len(self._waiting) - self._starting
        while missing > 0:
            limit = SESSIONS_PER_CONNECTION if self._urgent else COMMANDS_PER_CONNECTION
            member = self._roomiest(limit)
            if member is None:
                self._make_room()
                return
            self._start(member)
            missing -= 1
        ahead = WARM - len(self._warm) - self._starting
        if self._warming and not self._draining:
            first = self._members[0]
            for _ in range(ahead):
                if first.accepts(COMMANDS_PER_CONNECTION, asyncio.get_running_loop().time()):
                    self._start(first)

    def _make_room(self) -> None:
        self._grow(self.max_connections + bool(self._urgent))
        if self._sftp_member is not None and self._sftp_member.refused and not self._sftp_users:
            # Where sessions are this scarce, an idle one is given up.
            self._close_sftp()
        if self._retry is None or self._retry.cancelled():
            # Refused sessions and late releases by the server: look again in a moment.
            delay = max(_REFUSED_FIRST, self._unblocked_in())
            self._retry = asyncio.get_running_loop().call_later(delay, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self._balance()

    def _unblocked_in(self) -> float:
        now = asyncio.get_running_loop().time()
        return min((member.blocked_until - now for member in self._members if member.blocked_until > now), default=0.05)

    def _roomiest(self, limit: int) -> _Member | None:
        now = asyncio.get_running_loop().time()
        fitting = [member for member in self._members if member.accepts(limit, now)]
        return min(fitting, key=lambda member: member.sessions, default=None)

    def _start(self, member: _Member) -> None:
        member.sessions += 1
        self._starting += 1
        self._spawn(self._launch(member))

    async def _launch(self, member: _Member) -> None:
        """Never cancelled by a caller: a channel that is half open could not be closed again."""
        launcher = Launcher(self._closed)
        self._owner[launcher] = member
        error: FairleadError | None = None
        try:
            await member.connection.create_session(
                lambda: launcher, launcher.command_line, encoding=None, window=WINDOW
            )
            async with asyncio.timeout(STARTUP_SECONDS):
                await launcher.ready.wait()
            if launcher.process is None:
                error = not_a_shell(launcher)
        except TimeoutError:
            error = self.too_busy()
            launcher.close()
        except asyncssh.ChannelOpenError:
            self._refused(member)
        except (asyncssh.Error, OSError):
            # The connection is going down; its own event says so.
            log.debug("A session could not be opened", exc_info=True)
        finally:
            self._starting -= 1
            if not launcher.opened:
                self._closed(launcher)
        if launcher.process is not None and not launcher.closed:
            member.refused = 0
            self._warming = True
            self._arrived(launcher)
        elif error is not None and member in self._members:
            # Without this stop, an account that runs nothing would be tried again for ever.
            self._warming = False
            waiting = self._urgent or self._waiting
            if waiting:
                _set_exception(waiting.popleft(), error)
        self._balance()

    def _refused(self, member: _Member) -> None:
        delay = min(_REFUSED_CAP, _REFUSED_FIRST * 2.0 ** min(member.refused, 10))
        member.refused += 1
        member.blocked_until = asyncio.get_running_loop().time() + delay

    def _arrived(self, launcher: Launcher) -> None:
        """A shell waits: give it to whoever waits for one, else keep it."""
        self._drop_cancelled()
        for queue in (self._urgent, self._waiting):
            if queue:
                queue.popleft().set_result(launcher)
                return
        if self._draining or len(self._warm) >= WARM:
            launcher.close()
        else:
            self._warm.append(launcher)
            self._close_if_unused(self._owner[launcher])

    def _closed(self, launcher: Launcher) -> None:
        """A session ended."""
        member = self._owner.pop(launcher, None)
        if member is None:
            return
        member.sessions -= 1
        if launcher in self._warm:
            # It ended by itself, e.g. by the shell's own idle limit: don't keep starting new ones for nobody.
            self._warm.remove(launcher)
            self._warming = False
        self._close_if_unused(member)
        if self._urgent or self._waiting:
            self._soon()

    def _drop_warm(self, member: _Member) -> None:
        for launcher in [launcher for launcher in self._warm if self._owner.get(launcher) is member]:
            self._warm.remove(launcher)
            launcher.close()

    def _drop_cancelled(self) -> None:
        for queue in (self._urgent, self._waiting):
            while queue and queue[0].done():
                queue.popleft()

    def _fail_waiting(self, error: Exception) -> None:
        self._fail(self._waiting, error)

    @staticmethod
    def _fail(queue: deque[asyncio.Future[Launcher]], error: Exception) -> None:
        while queue:
            _set_exception(queue.popleft(), error)

    # --- SFTP ---

    async def _open_sftp(self) -> asyncssh.SFTPClient:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 5.0
        while True:
            if not self._members or self._draining:
                raise PoolGone
            for member in sorted(self._members, key=lambda member: member.sessions):
                client = await self._try_sftp(member)
                if client is not None:
                    return client
            if loop.time() > deadline:
                raise TooBusy("The server has no free session for file transfer.")
            if self._warm:
                self._drop_warm(self._owner[self._warm[0]])
            self._grow(self.max_connections)
            await asyncio.sleep(0.02)

    async def _try_sftp(self, member: _Member) -> asyncssh.SFTPClient | None:
        member.sessions += 1
        try:
            client = await member.connection.start_sftp_client(path_errors="surrogateescape")
        except asyncssh.ChannelOpenError as error:
            member.sessions -= 1
            if "Session request failed" in error.reason:
                raise FileError(
                    "The host offers no SFTP.", hint="Enable `Subsystem sftp internal-sftp` in its sshd_config."
                ) from error
            return None
        except BaseException:
            member.sessions -= 1
            raise
        self._sftp, self._sftp_member = client, member
        self._spawn(self._watch_sftp(client, member))
        return client

    async def _watch_sftp(self, client: asyncssh.SFTPClient, member: _Member) -> None:
        with suppress(asyncssh.Error, OSError):
            await client.wait_closed()
        member.sessions -= 1
        if self._sftp is client:
            self._sftp = self._sftp_member = None
        self._close_if_unused(member)
        self._balance()

    def _close_sftp(self) -> None:
        if self._sftp is not None:
            self._sftp.exit()
            self._sftp = self._sftp_member = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _set_exception(future: asyncio.Future[Launcher], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
