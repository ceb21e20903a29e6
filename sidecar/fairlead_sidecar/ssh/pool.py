"""The connections to one host, and the waiting shells on them.

A server allows some sessions per connection (MaxSessions, 10 unless changed); nobody tells how many. So a connection
is given at most 8 commands, two places stay for a kill and for SFTP, and a refused session is tried again a moment
later or on another connection.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import asyncssh

from fairlead_sidecar.errors import FairleadError, LinkError, ProtocolFailure, TooBusy
from fairlead_sidecar.ssh.launcher import WINDOW, Launcher, not_a_shell
from fairlead_sidecar.ssh.login import Login
from fairlead_sidecar.ssh.member import COMMANDS_PER_CONNECTION, SESSIONS_PER_CONNECTION, Member
from fairlead_sidecar.ssh.sftp import SharedSftp

WARM = 3
"""Shells that wait ahead of need, per pool."""
STARTUP_SECONDS = 60.0
"""Within which a shell has to be ready."""
IDLE_SECONDS = 30.0
"""After which a connection beyond the first is closed."""
CLOSE_SECONDS = 1.0
_GROW_AGAIN = 1.0
_GROW_AFTER_REFUSAL = 60.0
"""A server may lock an account whose logins fail."""
_LOOK_AGAIN = 0.05
_REFILL_SECONDS = 0.004
"""After a shell was taken, so that starting the next one does not compete with the command."""

log = logging.getLogger(__name__)


class PoolGone(Exception):
    """The pool has no connection any more, or takes no new work; what was asked for did not happen."""


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
        self._members: list[Member] = []
        self._warm: deque[Launcher] = deque()
        self._waiting: deque[asyncio.Future[Launcher]] = deque()
        self._urgent: deque[asyncio.Future[Launcher]] = deque()
        self._owner: dict[Launcher, Member] = {}
        self._starting = 0
        self._growing = False
        self._grow_not_before = 0.0
        self._warming = True
        self._draining = False
        self._closing: list[Login] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._sftp = SharedSftp(self._members, make_room=self._make_room_for_sftp, on_closed=self._session_ended)
        self._add(first)
        self._balance()

    @property
    def alive(self) -> bool:
        """Whether there is a connection left."""
        return bool(self._members)

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
            if not launcher.ended.is_set():
                asyncio.get_running_loop().call_later(_REFILL_SECONDS, self._balance)
                return launcher
        future: asyncio.Future[Launcher] = asyncio.get_running_loop().create_future()
        queue = self._urgent if urgent else self._waiting
        queue.append(future)
        self._balance()
        try:
            return await future
        except asyncio.CancelledError:
            with suppress(ValueError):
                queue.remove(future)
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
        if not self._members or self._draining:
            raise PoolGone
        try:
            return await self._sftp.acquire()
        except ConnectionError:
            raise PoolGone from None

    def release_sftp(self) -> None:
        """One user less."""
        self._sftp.release()
        if self._draining and self._sftp.member is not None:
            self._close_if_unused(self._sftp.member)

    def too_busy(self) -> FairleadError:
        """Why a caller of `launcher` waited in vain."""
        if any(launcher.opened and not launcher.ready.is_set() for launcher in self._owner):
            return ProtocolFailure(
                "The account's login shell did not become ready in time.",
                hint="Look at its start-up files (.bashrc, .zshenv) and at the host's load.",
            )
        return TooBusy("No SSH session to the host became free in time.")

    def set_keepalive(self, interval: float, count_max: int) -> None:
        """Change how the open connections are watched."""
        for member in self._members:
            member.login.set_keepalive(interval, count_max)

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
        """After `abort`: wait until the connections are gone, those too that were being made."""
        closing = [asyncio.ensure_future(login.wait_closed()) for login in self._closing]
        if closing or self._tasks:
            await asyncio.wait([*closing, *self._tasks], timeout=CLOSE_SECONDS)

    # --- connections ---

    def _add(self, login: Login) -> None:
        member = Member(login)
        self._members.append(member)
        login.events.on_lost = lambda: self._lost(member)

    def _lost(self, member: Member) -> None:
        if member not in self._members:
            return
        self._members.remove(member)
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
            pause = _GROW_AGAIN if error.retriable else _GROW_AFTER_REFUSAL
            self._grow_not_before = asyncio.get_running_loop().time() + pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        else:
            if self._members and not self._draining:
                self._add(login)
            else:
                login.connection.abort()
        finally:
            self._growing = False
        self._balance()

    def _close_if_unused(self, member: Member) -> None:
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

    def _busy(self, member: Member) -> bool:
        idle = sum(self._owner.get(launcher) is member for launcher in self._warm)
        idle += self._sftp.idle_on(member)
        return member.sessions > idle

    # --- waiting shells ---

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
        if self._sftp.member is not None and self._sftp.member.refusals:
            # Where sessions are this scarce, an idle one is given up.
            self._sftp.close_if_idle()
        if self._retry is None:
            # Refused sessions and late releases by the server: look again in a moment.
            now = asyncio.get_running_loop().time()
            delay = min((member.blocked_for(now) for member in self._members if member.blocked_for(now)), default=0.0)
            self._retry = asyncio.get_running_loop().call_later(delay or _LOOK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._retry = None
        self._balance()

    def _make_room_for_sftp(self) -> None:
        self._grow(self.max_connections)
        if self._warm:
            self._drop_warm(self._owner[self._warm[0]])

    def _roomiest(self, limit: int) -> Member | None:
        now = asyncio.get_running_loop().time()
        fitting = [member for member in self._members if member.accepts(limit, now)]
        return min(fitting, key=lambda member: member.sessions, default=None)

    def _start(self, member: Member) -> None:
        member.sessions += 1
        self._starting += 1
        self._spawn(self._launch(member))

    async def _launch(self, member: Member) -> None:
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
            member.refused(asyncio.get_running_loop().time())
        except (asyncssh.Error, OSError):
            # The connection is going down; its own event says so.
            log.debug("A session could not be opened", exc_info=True)
        finally:
            self._starting -= 1
            if not launcher.opened:
                self._closed(launcher)
        if launcher.process is not None and not launcher.closed:
            member.served()
            self._warming = True
            self._arrived(launcher)
        elif error is not None and member in self._members:
            # Without this stop, an account that runs nothing would be tried again for ever.
            self._warming = False
            waiting = self._urgent or self._waiting
            if waiting:
                _set_exception(waiting.popleft(), error)
        self._balance()

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
        self._session_ended(member)

    def _session_ended(self, member: Member) -> None:
        self._close_if_unused(member)
        if self._urgent or self._waiting:
            self._balance()

    def _drop_warm(self, member: Member) -> None:
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

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _set_exception(future: asyncio.Future[Launcher], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
