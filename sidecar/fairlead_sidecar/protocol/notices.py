"""Telling the sessions of the handshake protocols what happens to the host, as MCP log messages.

Clients of the modern protocol can't be told: it carries log messages only beside the answer to a request.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import anyio
import mcp_types as types
from mcp.server.connection import Connection

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import Permission
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol.caller import Callers, Context, alone
from fairlead_sidecar.protocol.outbox import LEVELS, MOST_WAITING, Notice, Outbox
from fairlead_sidecar.protocol.servers import rest_of
from fairlead_sidecar.reload import Active
from fairlead_sidecar.statusz import LinkState, LinkStatus
from fairlead_sidecar.tools.command_result import command_facts
from fairlead_sidecar.tools.redact import redactor
from fairlead_sidecar.tools.running import Command
from fairlead_sidecar.upstream.session_inbox import Inbox

logger = logging.getLogger(__name__)

LOGGER = "fairlead"
"""What messages name as their logger."""
DEFAULT_LEVEL: types.LoggingLevel = "warning"
"""What a session is told from, until it sets a level."""
SECONDS = 5.0
"""How long a client may take to accept a message; it then misses it."""


@dataclass(eq=False)
class Session:
    """One session of a handshake protocol."""

    connection: Connection
    caller: Caller
    outbox: Outbox
    server: str | None = None
    """The upstream server that it sees alone; None: it sees the host."""
    wanted: types.LoggingLevel | None = None
    """The level that it has set."""
    inbox: Inbox = field(default_factory=lambda: Inbox(MOST_WAITING))
    """What upstream servers have to say."""
    task: asyncio.Task[None] | None = None
    """Sends what is in the outbox, while there is something."""

    @property
    def level(self) -> types.LoggingLevel:
        """From which level on it is told."""
        return self.wanted or DEFAULT_LEVEL


class Notices:
    """Serves `logging/setLevel`, and sends `notifications/message`."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._sidecar = callers.sidecar
        self._sessions: dict[Connection, Session] = {}
        self.on_level: list[Callable[[], None]] = []
        """Called when a session has set a level."""
        self._link: tuple[LinkState, str] | None = None
        """State and reason of the link as they were told last."""
        self._sidecar.on_change.append(lambda: self._safely(self._look_at_link))
        self._sidecar.on_command_end.append(lambda command: self._safely(lambda: self._ended(command)))

    def initialized(self, ctx: Context) -> None:
        """Tell this session from now on, until it ends."""
        _, caller = self._callers.who(ctx)
        if not caller.is_probe:
            self._session(ctx, caller)

    async def set_level(self, ctx: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        """Tell this session what is at least this severe."""
        _, caller = self._callers.who(ctx)
        self._session(ctx, caller).wanted = params.level
        for listener in self.on_level:
            listener()
        return types.EmptyResult()

    def level(self, ctx: Context) -> types.LoggingLevel:
        """From which level on the session of a message is told."""
        session = self._sessions.get(ctx.session._connection)  # noqa: SLF001 - as in `_session`
        return session.level if session is not None else DEFAULT_LEVEL

    def most_verbose(self, server: str) -> types.LoggingLevel | None:
        """The lowest level that a session has set that hears of an upstream server; None where none has."""
        hearing = (session for session in self._sessions.values() if session.wanted and self.hears(session, server))
        wanted = [session.wanted for session in hearing if session.wanted is not None]
        return min(wanted, key=LEVELS.index, default=None)

    def sessions(self) -> Iterable[Session]:
        """All that are told."""
        return list(self._sessions.values())

    def hears(self, session: Session, server: str) -> bool:
        """Whether a session sees an upstream server, and its caller may use what that has beside tools."""
        if session.server not in {None, server}:
            return False
        caller = self.current(session)
        return caller is not None and Permission.CALL in caller.permissions and selected(caller.tools, rest_of(server))

    def current(self, session: Session) -> Caller | None:
        """Whose it is, as they now stand; a session outlives the rotation of its token."""
        active = self._sidecar.active
        if active is None:
            return None
        return active.grants.current(session.caller) or active.grants.of_owner(session.caller.owner)

    def _session(self, ctx: Context, caller: Caller) -> Session:
        connection = ctx.session._connection  # noqa: SLF001 - nothing public stands for the session and tells its end
        session = self._sessions.get(connection)
        if session is None:
            outbox = Outbox(asyncio.get_running_loop().time)
            session = self._sessions[connection] = Session(connection, caller, outbox, alone(ctx))
            connection.exit_stack.callback(self._forget, session)
        return session

    def _forget(self, session: Session) -> None:
        del self._sessions[session.connection]
        session.inbox.close()
        if session.task is not None:
            session.task.cancel()

    def _safely(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception:  # what clients are told of an event must not stand in its way
            logger.exception("The clients could not be told of an event")

    def _look_at_link(self) -> None:
        active, link = self._sidecar.active, self._sidecar.link
        if active is None or link is None:
            return
        status = link.status()
        state = status.state, status.reason
        # That it is being connected to says nothing yet: either it is up in a moment, or the reason why not follows.
        if state == self._link or status.state is LinkState.CONNECTING:
            return
        self._link = state
        self._tell(link_notice(active, status))

    def _ended(self, command: Command) -> None:
        facts = command_facts(command)
        told = ("host", "command_id", "outcome", "exit_code", "signal", "duration_seconds")
        data = {"event": "command_end", **{name: facts[name] for name in told if facts[name] is not None}}
        self._tell(Notice("info", data, command.needs, command.owner))

    def _tell(self, notice: Notice) -> None:
        for session in self._sessions.values():
            if self._due(session, notice):
                session.outbox.put(notice)
                if session.task is None:
                    session.task = asyncio.create_task(self._send(session))

    def _due(self, session: Session, notice: Notice) -> bool:
        """Whether the session wants to know it, and may."""
        if session.server is not None or not notice.reaches(session.level):
            return False
        caller = self.current(session)
        return caller is not None and notice.concerns(caller)

    async def _send(self, session: Session) -> None:
        """Send what waits, no faster than may be."""
        try:
            while session.outbox:
                await asyncio.sleep(session.outbox.delay())
                notice, dropped = session.outbox.take()
                # Level and permissions may have changed while it waited.
                if self._due(session, notice):
                    await _notify(session.connection, notice, dropped)
        except Exception:
            logger.exception("A client could not be told of an event")
        finally:
            session.task = None


def link_notice(active: Active, status: LinkStatus) -> Notice:
    """How the link stands, as `connection_status` tells it to those who may ask."""
    data = {"event": "link", "host": active.config.name, "state": status.state.value, "reason": status.reason}
    # Without what masks the policy's secret values, no free text goes out.
    with contextlib.suppress(FairleadError):
        data["message"] = redactor(active.config.policy.redact).text(status.message)
    fine = status.reason == LinkState.CONNECTED.value
    return Notice("notice" if fine else "warning", data, frozenset({Permission.VIEW}))


async def _notify(connection: Connection, notice: Notice, dropped: int) -> None:
    data = notice.data | ({"dropped": dropped} if dropped else {})
    params = {"level": notice.level, "logger": LOGGER, "data": data}
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            await connection.notify("notifications/message", params)
