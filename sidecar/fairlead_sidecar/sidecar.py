"""One sidecar: the configuration in force, the link that follows it, and everything that must end when it changes."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.last_use import LastUse
from fairlead_sidecar.access.rates import MovingWindow
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.access.sessions import Sessions
from fairlead_sidecar.access.work import Item, Work
from fairlead_sidecar.audit import AuditLog
from fairlead_sidecar.config import McpServer
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.leaving import leave
from fairlead_sidecar.metrics import Metrics
from fairlead_sidecar.reload import Active, ConfigRefused, ConfigSource, activate, less
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.statusz import LinkState, LinkStatus, Statusz
from fairlead_sidecar.tools.command_result import command_facts
from fairlead_sidecar.tools.running import Command, Commands
from fairlead_sidecar.tools.spool import Spool
from fairlead_sidecar.upstream.opening import wire_of
from fairlead_sidecar.upstream.spec import OpenWire, is_read_only
from fairlead_sidecar.upstream.upstreams import UpstreamServers
from fairlead_sidecar.values import missing

logger = logging.getLogger(__name__)

POLL_INTERVAL = 0.25
"""Seconds between two looks at the configuration and at the clock: a part of the 2 s that revocation may take."""
SECRETS_INTERVAL = 2.0
"""Seconds between two looks at the Secrets of upstream servers."""
ENDING_TIMEOUT = 7.0
"""Seconds that ending the running commands may take at shutdown; the operator leaves 10 s of the grace period for it
and for what follows."""


def client_of(owner: str) -> str:
    """How upstream servers know a client that has no session: by its token's owner."""
    return f"owner {owner}"


class Sidecar:
    """Everything behind the HTTP surface.

    Args:
        source: Where the configuration comes from; may have none yet.
        audit: Where calls and denials are written; standard output by default.
        head_start: The link, where it was begun already; it ends with `running`.
    """

    def __init__(
        self, source: ConfigSource, *, audit: AuditLog | None = None, head_start: HeadStart | None = None
    ) -> None:
        self.audit = audit or AuditLog()
        self.work = Work()
        self.sessions = Sessions()
        self.requests = MovingWindow(60.0)
        """The MCP requests of each owner."""
        self.last_use = LastUse()
        self.metrics = Metrics(self.sessions.count)
        self.sessions.on_evicted = self.metrics.session_evicted
        self.commands = Commands(Spool(), self._command_ended)
        self.active: Active | None = None
        """The configuration in force; None before the first one."""
        self.link: Link | None = None
        self.upstreams = UpstreamServers(self._wire_of)
        self.upstreams.on_change.append(self._upstreams_changed)
        self.leaving = False
        """Whether it was told to stop: it is no longer ready, and ends once what it has begun is done."""
        self.takes_nothing_new = False
        """Whether it leaves, and whoever is new is served elsewhere by now."""
        self.hurry = asyncio.Event()
        """Set while it leaves: what was begun is waited for no longer."""
        self.draining = False
        """Whether everything is being ended."""
        self.on_active: list[Callable[[Active], None]] = []
        """Called whenever another configuration comes into force."""
        self.on_change: list[Callable[[], None]] = []
        """Called whenever `status()` has changed."""
        self.on_command_end: list[Callable[[Command], None]] = []
        """Called whenever a command ended that no call waited for."""
        self._source = source
        self._head_start = head_start
        self._config_error: str | None = None
        self._drain_timeout: float | None = None
        """Of the first configuration: that is what the pod was made for, and another value makes another pod."""
        self._followed: Active | None = None
        self._follow_wanted = asyncio.Event()
        self._link_task: asyncio.Task[None] | None = None
        self._boot = secrets.token_hex(4)
        self._version = 0
        self._changed = asyncio.Event()
        self._started = datetime.now(UTC)
        self._missing_values: tuple[str, ...] = ()
        self._secrets_due = 0.0
        self._owners: set[str] = set()
        self._parting: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether MCP is served; independent of the host."""
        return self.active is not None and not self.leaving and not self.draining

    def is_valid(self, caller: Caller) -> bool:
        """Whether a caller is still let in."""
        return self.active is not None and self.active.grants.current(caller) is not None

    def note_use(self, caller: Caller) -> None:
        """A token was let in."""
        if not caller.is_probe:
            self.last_use.note(caller.owner)

    def status(self) -> Statusz:
        """The snapshot that `/statusz` gives."""
        waiting = LinkStatus(
            state=LinkState.CONNECTING,
            reason="Connecting",
            message="No configuration was loaded yet.",
            since=self._started,
        )
        return Statusz(
            version=f"{self._boot}-{self._version}",
            config_digest=self._followed.digest if self._followed and self._followed.fault is None else None,
            config_error=self._config_error,
            link=self.link.status() if self.link else waiting,
            missing_values=self._missing_values,
            last_used=self.last_use.told,
            tool_count=self._tool_count(),
            mcp_servers=self.upstreams.statuses(),
        )

    def _tool_count(self) -> int:
        active = self.active
        if active is None:
            return 0
        theirs = (tool for upstream in self.upstreams.all().values() for tool in upstream.catalogue.tools)
        return len(active.tools) + sum(not active.config.policy.read_only or is_read_only(tool) for tool in theirs)

    async def status_after(self, version: str | None, timeout: float) -> Statusz:
        """The snapshot as soon as its version differs from `version`, or after `timeout` seconds as it is then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.status().version == version and not self.leaving:
                    await self._changed.wait()
        # Who asks again and again must not keep a sidecar that leaves from doing so.
        await asyncio.sleep(0)
        return self.status()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the configuration and keep the link up while the block runs; end everything behind it."""
        self._load()
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._follow())]
        try:
            yield
        finally:
            await self.drain()
            if self._link_task is not None:
                tasks.append(self._link_task)
            elif self._head_start is not None:
                await self._head_start.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.commands.spool.close()

    async def drain(self) -> None:
        """Refuse what is new, end open streams, cancel running calls and wait until their commands are dead."""
        self.draining = True
        self._bump()
        self.work.cut(lambda item: item.needs is not None)
        try:
            async with asyncio.timeout(ENDING_TIMEOUT):
                await asyncio.gather(self.work.calls_done(), self.commands.close())
                await self.upstreams.close()
        except TimeoutError:
            logger.warning("Some commands could not be ended within %s s", ENDING_TIMEOUT)
        # A moment for the answers of the calls that were just cancelled; then idle streams end too.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self.work.idle()
        self.work.cut(lambda _: True)

    async def leave(self, hang_up: Callable[[], None]) -> None:
        """Let what was begun go on to its end, for as long as the first configuration gave it; the caller drains then.

        Args:
            hang_up: Called once nothing new is taken any more: ends connections on which nothing is under way.
        """
        self.leaving = True
        self._bump()

        def close() -> None:
            self.takes_nothing_new = True
            hang_up()

        await leave(self.work, self.commands, timeout=self._drain_timeout or 0.0, hurry=self.hurry, close=close)

    def _bump(self) -> None:
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for listener in self.on_change:
            listener()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            try:
                self._load()
                await self._enforce()
                self._look_for_values()
                self._look_at_secrets()
            except Exception:  # whatever happens in one round, revocation must go on
                logger.exception("Looking at the configuration failed")

    def _load(self) -> None:
        try:
            raw = self._source.poll()
        except OSError as error:
            self._refuse(str(error))
            return
        if raw is None:
            return
        try:
            active = activate(raw)
        except ConfigRefused as error:
            if self.active is not None:
                self.active = less(self.active, raw)
            self._refuse(str(error))
            return
        self._accept(active)

    def _refuse(self, message: str) -> None:
        if message != self._config_error:
            self._config_error = message
            logger.warning("The configuration was refused: %s", message)
            self._bump()

    def _look_for_values(self) -> None:
        """Notice values that appear or vanish: a Secret may be mended without any change of the configuration."""
        if self.active is None:
            return
        found = missing(self.active.config)
        if found != self._missing_values:
            self._missing_values = found
            self._bump()

    def _look_at_secrets(self) -> None:
        """Start upstream servers anew whose Secrets have other content now."""
        now = time.monotonic()
        if self.active is not None and self.active.config.mcp_servers and now >= self._secrets_due:
            self._secrets_due = now + SECRETS_INTERVAL
            self.upstreams.configure(self.active.config)

    def _accept(self, active: Active) -> None:
        self.active, self._config_error = active, active.fault
        if self._drain_timeout is None:
            self._drain_timeout = active.config.drain_timeout
        self.commands.spool.directory = active.config.spool_directory
        self.metrics.generation(active.config.generation)
        for listener in self.on_active:
            listener(active)
        self._look_for_values()
        if self.link is None:
            begun = self._head_start or HeadStart(active.config)
            self.link = begun.take_over(self._link_changed, self.metrics)
            self._link_task = asyncio.create_task(begun.keep())
            if begun.config == active.config:
                self._followed = active
            else:
                self._follow_wanted.set()
        else:
            self._follow_wanted.set()
        self.upstreams.configure(active.config)
        self._link_changed()
        if active.fault is None:
            logger.info("Configuration %s is in force", active.digest[:12])
        else:
            logger.error("Configuration %s is in force with everything denied: %s", active.digest[:12], active.fault)
        self._bump()

    async def _follow(self) -> None:
        """Let the link take over changes, apart from `_watch` so that a slow login never delays a revocation."""
        while True:
            await self._follow_wanted.wait()
            self._follow_wanted.clear()
            active, link = self.active, self.link
            if active is None or link is None:
                continue
            try:
                await link.reconfigure(active.config)
            except Exception:  # as with the link itself
                logger.exception("The link could not take over the configuration")
            self._followed = active
            self._bump()

    def _wire_of(self, server: McpServer) -> OpenWire:
        if self.active is None or self.link is None:
            msg = "upstream servers are configured once there is a configuration and a link"
            raise RuntimeError(msg)
        return wire_of(server, self.link, self.active.config)

    def _link_changed(self) -> None:
        if self.link is not None:
            status = self.link.status()
            if status.state is LinkState.CONNECTED:
                self.upstreams.link_up()
            else:
                self.upstreams.link_down(status.message)
        self._bump()

    def _upstreams_changed(self) -> None:
        self.metrics.servers({status.name: status.ready for status in self.upstreams.statuses()})
        self._bump()

    def _command_ended(self, command: Command) -> None:
        """Account for a command whose call was answered while it still ran."""
        namespace = self.active.config.namespace if self.active else None
        self.audit.write("command_end", {"namespace": namespace, **command_facts(command)})
        for listener in self.on_command_end:
            listener(command)

    async def _enforce(self) -> None:
        active = self.active
        if active is None:
            return

        def condemned(item: Item) -> bool:
            caller = active.grants.current(item.caller)
            if caller is None or (item.needs is not None and item.needs not in caller.permissions):
                return True
            return item.tool is not None and not selected(caller.tools, item.tool)

        owners = active.grants.owners()
        ended = self.work.cut(condemned) + self.commands.enforce(active.grants.current, owners, active.tools.keys())
        if ended:
            logger.info("Ended %d streams and calls whose token is no longer valid for them", ended)
        self._part_from(self._owners - owners)
        self._owners = owners
        self.requests.keep(owners)
        if self.last_use.keep(owners):
            self._bump()
        await self.sessions.keep(active.grants, {server.name for server in active.config.mcp_servers})
        self.sessions.cancel_abandoned(active.config.limits.disconnect_grace)

    def _part_from(self, owners: set[str]) -> None:
        """End what upstream servers hold for owners without any token in force."""
        for upstream in self.upstreams.all().values() if owners else ():
            for owner in owners:
                task = asyncio.create_task(upstream.client_gone(client_of(owner)))
                self._parting.add(task)
                task.add_done_callback(self._parting.discard)
