"""The connections to one host, and the waiting shells on them.

A command gets a shell that waits; where none does, the next session that the server gives. A server allows some
sessions per connection (MaxSessions): as many are used as it turns out to give, less one for a kill and one for files,
then further connections are made.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import asyncssh

from fairlead_sidecar.config import Environment
from fairlead_sidecar.errors import FairleadError, TooBusy
from fairlead_sidecar.ssh.command import not_a_shell, not_ready
from fairlead_sidecar.ssh.direct import DirectChannels
from fairlead_sidecar.ssh.environment import HostFacts, configured, preamble, secrets_version
from fairlead_sidecar.ssh.growth import Growth
from fairlead_sidecar.ssh.launcher import WINDOW, Launcher
from fairlead_sidecar.ssh.lean import LateCommand
from fairlead_sidecar.ssh.limit import SessionLimit
from fairlead_sidecar.ssh.login import Login
from fairlead_sidecar.ssh.marker import new_call_id
from fairlead_sidecar.ssh.member import Member
from fairlead_sidecar.ssh.order import Order
from fairlead_sidecar.ssh.sftp import OPEN_SECONDS, SharedSftp

WARM = 4
"""Shells that wait ahead of need, per pool."""
TRIES = WARM + 2
"""How many shells a command is given to that end before they take it: all that wait may have died at once."""
BESIDE = 2
"""Shells that start ahead of need while a command waits for its own: each slows that one down. The others follow in the
next pause."""
FACTS_SECONDS = 2.0
"""How long the first commands of a connection wait for its environment."""
STARTUP_SECONDS = 60.0
"""Within which a shell has to be ready."""
IDLE_SECONDS = 30.0
"""After which a connection beyond the first is closed."""
CLOSE_SECONDS = 1.0
_LOOK_AGAIN = 0.05
_REFILL_AFTER_END = 0.01
"""Where one call follows the other at once, starting shells would only hold up the next: wait for a pause, or until
none is left."""
_REFILL_AFTER_BEGIN = 0.03

log = logging.getLogger(__name__)


class PoolGone(Exception):
    """The pool has no connection any more, or takes no new work; what was asked for did not happen."""


class Pool:
    """Gives out shells, each for one command."""

    def __init__(
        self,
        first: Login,
        login: Callable[[], Awaitable[Login]],
        *,
        instance: str,
        environment: Environment,
        max_connections: int,
        limit: SessionLimit,
        on_lost: Callable[[], None],
    ) -> None:
        """Take over the `first` connection; make further ones with `login`; tell `on_lost` when none is left."""
        self.max_connections = max_connections
        self.facts: HostFacts | None = None
        """What shells say about themselves; None until they have answered, or did not in time."""
        self.answered = asyncio.Event()
        """They have answered, or never will."""
        self._instance = instance
        self._environment = environment
        self._limit = limit
        self._on_lost = on_lost
        self._members: list[Member] = []
        self._warm: deque[Launcher] = deque()
        self._waiting: deque[Order] = deque()
        self._urgent: deque[Order] = deque()
        self._owner: dict[Launcher, Member] = {}
        self._orders: dict[Launcher, Order] = {}
        """What the shells were asked for that are not open yet."""
        self._preamble_text: str | None = None
        self._warm_not_before = 0.0
        self._secrets = secrets_version(environment)
        self._stale: set[Launcher] = set()
        """Shells that were asked for before something changed that they should know."""
        self._startups: dict[Launcher, asyncio.TimerHandle] = {}
        """Until when each shell that was started ahead of need has to be ready."""
        self._starting = 0
        self._warming = True
        """Whether shells start here at all."""
        self._wanted = True
        """Whether there was a command since a waiting shell ended by itself."""
        self._draining = False
        self._closing: list[Login] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._growth = Growth(login, self._grown)
        self._sftp = SharedSftp(self._members, make_room=self._make_room_for_sftp, on_closed=self._session_ended)
        self.direct = DirectChannels(self._members, self._close_if_unused)
        self._patience = asyncio.get_running_loop().call_later(FACTS_SECONDS, self._wait_no_more)
        self._facts_awaited = True
        self._add(first)

    @property
    def alive(self) -> bool:
        """Whether there is a connection left."""
        return bool(self._members)

    async def serve(self, order: Order) -> None:
        """Give an order to a shell; returns when the command was sent. The caller sets the deadline.

        Raises:
            PoolGone: There is no connection any more.
            ProtocolFailure: The account does not start a shell.
            CredentialsNotFound: A value of the environment is missing.
        """
        if not self._members or (self._draining and not order.urgent):
            raise PoolGone
        self._wanted = True
        if self._environment.variables and self._secrets != (version := secrets_version(self._environment)):
            self._secrets = version
            self.renew()
        while self._warm:
            launcher = self._warm.popleft()
            # One that has exited is not ended before its last output is there.
            if not (launcher.exited or launcher.ended.is_set()):
                order.prepare(launcher)
                order.given(launcher)
                self._refill_in(_REFILL_AFTER_BEGIN)
                return
        order.served = asyncio.get_running_loop().create_future()
        (self._urgent if order.urgent else self._waiting).append(order)
        # What was to follow the call before would start right now.
        self._refill_in(_REFILL_AFTER_BEGIN)
        self._balance(ahead=BESIDE)
        await order.served

    def learned(self, facts: HostFacts) -> None:
        """The account's shells told about themselves: commands go on, in shells that know it."""
        self.facts = facts
        self.answered.set()
        self._patience.cancel()
        self._facts_awaited = False
        self.renew()

    def configure(self, environment: Environment, max_connections: int) -> None:
        """Take over what changed in the configuration."""
        self.max_connections = max_connections
        if environment != self._environment:
            self._environment = environment
            self.renew()

    def renew(self) -> None:
        """Start the waiting shells anew."""
        self._preamble_text = None
        self._stale.update(launcher for launcher in self._owner if not launcher.opened)
        while self._warm:
            self._warm.popleft().close()
        self._balance()

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
        finally:
            self._warm_not_before = 0.0

    def release_sftp(self) -> None:
        """One user less."""
        self._sftp.release()
        if self._draining and self._sftp.member is not None:
            self._close_if_unused(self._sftp.member)

    def too_busy(self) -> FairleadError:
        """Why an order waited in vain."""
        if any(launcher.opened and not launcher.ready.is_set() for launcher in self._owner):
            return not_ready()
        return TooBusy("No SSH session to the host became free in time.")

    def set_keepalive(self, interval: float, count_max: int) -> None:
        """Change how the open connections are watched."""
        for member in self._members:
            member.login.set_keepalive(interval, count_max)

    def drain(self) -> None:
        """Take no new commands; each connection closes when its last command has ended."""
        self._draining = True
        self._fail(self._waiting)
        while self._warm:
            self._warm.popleft().close()
        for member in list(self._members):
            self._close_if_unused(member)

    def abort(self) -> None:
        """Close everything at once; running commands get `ConnectionLost`."""
        self._draining = True
        for task in (*self._tasks, *self._growth.tasks):
            task.cancel()
        for member in list(self._members):
            self._closing.append(member.login)
            member.connection.abort()
            self._lost(member)

    async def wait_closed(self) -> None:
        """After `abort`: wait until the connections are gone, those too that were being made."""
        closing = [asyncio.ensure_future(login.wait_closed()) for login in self._closing]
        if closing or self._tasks or self._growth.tasks:
            await asyncio.wait([*closing, *self._tasks, *self._growth.tasks], timeout=CLOSE_SECONDS)

    # --- connections ---

    def _add(self, login: Login) -> Member:
        member = Member(login)
        self._members.append(member)
        login.events.on_lost = lambda: self._lost(member)
        return member

    def _lost(self, member: Member) -> None:
        if member not in self._members:
            return
        self._members.remove(member)
        if self._members:
            self._balance()
            return
        self._fail(self._waiting)
        self._fail(self._urgent)
        for timer in (self._retry, self._refill, self._patience):
            if timer:
                timer.cancel()
        self._on_lost()

    def _grown(self, login: Login | None) -> None:
        member = None
        if login is not None:
            if self._members and not self._draining:
                member = self._add(login)
            else:
                login.connection.abort()
        self._balance()
        if member is not None:
            # What it was made for may be over, and then nothing would ever close it.
            self._close_if_unused(member)

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
        return member.sessions > idle or member.channels > 0

    # --- waiting shells ---

    def _balance(self, *, ahead: int | None = None) -> None:
        """Start as many shells as are waited for, and up to `ahead` (else `WARM`) more; grow when there is no room."""
        if not self._members:
            return
        self._drop_cancelled()
        missing = len(self._urgent) + (0 if self._facts_awaited else len(self._waiting)) - self._starting
        while missing > 0 and (self._urgent or self._waiting):
            member = self._roomiest(urgent=bool(self._urgent))
            if member is None:
                self._make_room(missing)
                return
            if not self._start(member, (self._urgent or self._waiting).popleft()):
                return
            missing -= 1
        if self._warming and self._wanted and not (self._draining or self._facts_awaited or self._waiting):
            first, now = self._members[0], asyncio.get_running_loop().time()
            most = WARM if ahead is None else min(WARM, ahead)
            for _ in range(most - len(self._warm) - self._starting):
                if (
                    now < self._warm_not_before
                    or not first.accepts(self._room(first, urgent=False), now)
                    or not self._start(first, None)
                ):
                    return

    def _refill_in(self, seconds: float) -> None:
        if self._refill is not None:
            self._refill.cancel()
        self._refill = asyncio.get_running_loop().call_later(seconds, self._balance)

    def _make_room(self, missing: int) -> None:
        each = self._limit.commands(with_sftp=False)
        room = self.max_connections + bool(self._urgent) - len(self._members)
        if not self._draining:
            self._growth.want(min(-(-missing // each), room))
        if self._limit.scarce:
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
        self._growth.want(min(1, self.max_connections - len(self._members)))
        # Whoever drops a shell for it must not start the next one in its place.
        self._warm_not_before = asyncio.get_running_loop().time() + OPEN_SECONDS
        if self._warm:
            self._drop_warm(self._owner[self._warm[0]])

    def _roomiest(self, *, urgent: bool) -> Member | None:
        now = asyncio.get_running_loop().time()
        fitting = [member for member in self._members if member.accepts(self._room(member, urgent=urgent), now)]
        if not fitting and self._limit.probe(now):
            return min(self._members, key=lambda member: member.sessions)
        return min(fitting, key=lambda member: member.sessions, default=None)

    def _room(self, member: Member, *, urgent: bool) -> int:
        if urgent:
            return self._limit.most
        if self._sftp.member is not None:
            # It counts among the sessions of the connection that it runs on.
            return self._limit.commands(with_sftp=False)
        return self._limit.commands(with_sftp=member is self._members[0])

    def _start(self, member: Member, order: Order | None) -> bool:
        """Ask for a session, for an order or ahead of need; whether that was possible."""
        facts = self.facts or HostFacts()
        try:
            environment = self._preamble(facts)
        except FairleadError as error:
            # A kill needs no environment.
            if order is None or not order.urgent:
                self._warming = False
                if order is not None:
                    order.fail(error)
                return False
            environment = ""
        launcher = Launcher(
            new_call_id(self._instance),
            facts.shell,
            on_open=self._opened,
            on_closed=self._closed,
            boot_id=facts.boot_id,
            environment=environment,
            public=facts.public and not self._environment.variables,
            ordered=member.ordered and facts.silent,
        )
        self._owner[launcher] = member
        member.sessions += 1
        if order is None:
            self._starting += 1
        else:
            order.prepare(launcher)
            self._orders[launcher] = order
        self._spawn(self._launch(launcher, member))
        return True

    def _preamble(self, facts: HostFacts) -> str:
        if self._preamble_text is None:
            self._preamble_text = preamble(facts, configured(self._environment))
        return self._preamble_text

    async def _launch(self, launcher: Launcher, member: Member) -> None:
        """Never cancelled by a caller: a channel that is half open could not be closed again."""
        try:
            await member.connection.create_session(lambda: launcher, LateCommand.WAITS, encoding=None, window=WINDOW)
        except asyncssh.ChannelOpenError:
            launcher.refused = True
            if not launcher.opened and member in self._members:
                now = asyncio.get_running_loop().time()
                self._limit.refused(now)
                member.refused(now)
        except (asyncssh.Error, OSError):
            # The connection is going down; its own event says so.
            log.debug("A session could not be opened", exc_info=True)
        finally:
            if not launcher.opened:
                order = self._orders.pop(launcher, None)
                if order is None:
                    self._starting -= 1
                else:
                    (self._urgent if order.urgent else self._waiting).appendleft(order)
                self._closed(launcher)
                self._balance_or_fail()

    def _opened(self, launcher: Launcher) -> None:
        """A session is there: it runs what it was asked for, or whatever waits, or is kept."""
        member = self._owner[launcher]
        member.served()
        member.granted += 1
        self._limit.granted(member.granted)
        order = self._orders.pop(launcher, None)
        if order is not None:
            if order.waiting:
                order.given(launcher)
            else:
                launcher.close()
            return
        self._starting -= 1
        loop = asyncio.get_running_loop()
        self._startups[launcher] = loop.call_later(STARTUP_SECONDS, self._check_start, launcher)
        self._drop_cancelled()
        stale = launcher in self._stale
        # A kill needs none of what has changed; a command would run with what no longer holds.
        queue = self._urgent or (None if self._facts_awaited or stale else self._waiting)
        if queue:
            order = queue.popleft()
            order.prepare(launcher)
            order.given(launcher)
        elif self._draining or len(self._warm) >= WARM or stale:
            launcher.close()
        else:
            self._warm.append(launcher)
            self._close_if_unused(member)

    def _check_start(self, launcher: Launcher) -> None:
        del self._startups[launcher]
        if not launcher.ready.is_set():
            log.warning("The account's login shell does not become ready")
            self._warming = False
            launcher.close()

    def _closed(self, launcher: Launcher) -> None:
        """A session ended."""
        member = self._owner.pop(launcher, None)
        if member is None:
            return
        member.sessions -= 1
        member.granted -= launcher.opened
        self._stale.discard(launcher)
        if (startup := self._startups.pop(launcher, None)) is not None:
            # The timer would keep the command's output in memory.
            startup.cancel()
        if launcher.process is not None:
            self._warming = True
        elif launcher.opened and not launcher.abandoned and member in self._members:
            # Without this stop, an account that runs nothing would be tried again for ever.
            self._warming = False
            if not launcher.sent and self._waiting:
                self._waiting.popleft().fail(not_a_shell(launcher))
        if launcher in self._warm:
            # It ended by itself, e.g. by the shell's own idle limit: don't keep starting new ones for nobody.
            self._warm.remove(launcher)
            self._wanted = False
        self._session_ended(member)

    def _session_ended(self, member: Member) -> None:
        self._close_if_unused(member)
        if self._urgent or self._waiting:
            self._balance(ahead=BESIDE)
        elif not self._draining and self._members and len(self._warm) < WARM:
            self._refill_in(_REFILL_AFTER_END)

    def _wait_no_more(self) -> None:
        """The environment takes its time: go on without it for now."""
        self._facts_awaited = False
        self._balance()

    def _balance_or_fail(self) -> None:
        if self._members:
            self._balance()
        else:
            self._fail(self._waiting)
            self._fail(self._urgent)

    def _drop_warm(self, member: Member) -> None:
        for launcher in [launcher for launcher in self._warm if self._owner.get(launcher) is member]:
            self._warm.remove(launcher)
            launcher.close()

    def _drop_cancelled(self) -> None:
        for queue in (self._urgent, self._waiting):
            while queue and not queue[0].waiting:
                queue.popleft()

    @staticmethod
    def _fail(queue: deque[Order]) -> None:
        while queue:
            queue.popleft().fail(PoolGone())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
