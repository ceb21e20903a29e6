"""The commands that run or ran lately, and to whom they belong.

A command belongs to its McpToken, whichever of that token's credentials started it: it survives a rotation and dies
with the token, with the permissions it runs by, with the tool that began it, and with the process.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.rates import MovingWindow, share
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import Limits, Permission
from fairlead_sidecar.errors import FairleadError, NotFound, RateLimited, TooBusy
from fairlead_sidecar.ssh.result import CommandEnd
from fairlead_sidecar.tools.output import CommandOutput
from fairlead_sidecar.tools.spool import KEPT_SECONDS, Spool

logger = logging.getLogger(__name__)

PER_OWNER = 32
"""Commands of one token that run in the background at once."""
TOTAL = 128
"""Commands that run in the background at once."""
KEPT = 256
"""Ended commands whose end and output can still be asked for."""


@dataclass(eq=False)
class Command:
    """One command, from its start until nobody may ask for it any more."""

    id: str
    host: str
    caller: Caller
    """Who began it, and from where."""
    needs: frozenset[Permission]
    """What its owner must hold for it to go on."""
    output: CommandOutput
    tool: str
    """The name of the tool that began it."""
    facts: dict[str, object]
    """Who and what it is, for the audit line of its end."""
    timeout: float
    idle_timeout: float | None
    task: "asyncio.Task[CommandEnd]"
    background: bool = False
    """Whether no call waits for its end: it goes on alone, or it has ended and can still be asked for."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    """When it ended, by the monotonic clock."""
    cancelled: bool = False
    """Whether it was ended on request: by its owner, or because it lost the right to run."""

    @property
    def owner(self) -> str:
        """To whom it belongs."""
        return self.caller.owner

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.task.done()

    @property
    def end(self) -> CommandEnd | None:
        """How it ended; None when it runs, was cancelled or failed."""
        return None if self.running or self.task.cancelled() or self.task.exception() else self.task.result()

    @property
    def error(self) -> BaseException | None:
        """Why its end is not known; None when it runs, was cancelled or ended."""
        return None if self.running or self.task.cancelled() else self.task.exception()

    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (time.monotonic() if self.ended is None else self.ended) - self.started


class Commands:
    """All commands of a sidecar.

    Args:
        spool: Where their output is kept.
        on_background_end: Called when a command that no call waits for has ended.
    """

    def __init__(self, spool: Spool, on_background_end: Callable[[Command], None] = lambda _: None) -> None:
        self.spool = spool
        self._on_background_end = on_background_end
        self._by_id: dict[str, Command] = {}
        self._begun = MovingWindow(3600.0)

    def start(
        self,
        run: Callable[[CommandOutput], Awaitable[CommandEnd]],
        output: CommandOutput,
        *,
        host: str,
        caller: Caller,
        needs: Iterable[Permission],
        tool: str,
        facts: dict[str, object],
        timeout: float,
        idle_timeout: float | None,
    ) -> Command:
        """Begin a command; the caller waits for it, and then calls `to_background` or `settle`."""

        async def whole() -> CommandEnd:
            try:
                return await run(output)
            finally:
                output.end()

        command = Command(
            id=secrets.token_urlsafe(16),
            host=host,
            caller=caller,
            needs=frozenset(needs),
            output=output,
            tool=tool,
            facts=facts | {"tool": tool},
            timeout=timeout,
            idle_timeout=idle_timeout,
            task=asyncio.create_task(whole()),
        )
        self._by_id[command.id] = command
        command.task.add_done_callback(lambda _: self._has_ended(command))
        return command

    def admit(self, caller: Caller, limits: Limits) -> None:
        """Let the caller begin one more command, and count it.

        Raises:
            TooBusy: As many run as may at a time.
            RateLimited: Its token began as many within the hour as it may.
        """
        if limits.concurrent_commands is not None:
            running = sum(command.running for command in self._by_id.values())
            if running >= limits.concurrent_commands:
                msg = f"{running} commands run on this host, as many as may at a time."
                raise TooBusy(msg, hint="Wait until one has ended, or end one with command_cancel.")
        if limits.commands_per_hour is None:
            return
        limit = share(limits.commands_per_hour, caller.rate_percent)
        wait = self._begun.take(caller.owner, limit)
        if wait:
            hint = f"Try again in {wait} seconds, or do more with each command: execute_script runs many in one."
            raise RateLimited(f"The token may begin {limit} commands an hour, and has begun as many.", hint=hint)

    def check_room(self, owner: str) -> None:
        """Let one more command of `owner` go on in the background.

        Raises:
            TooBusy: There are too many.
        """
        running = [command.owner for command in self._by_id.values() if command.background and command.running]
        if running.count(owner) >= PER_OWNER or len(running) >= TOTAL:
            msg = (
                f"Too many commands run in the background: {running.count(owner)} of this token, {len(running)} in all."
            )
            raise TooBusy(msg, hint="End one with command_cancel, or wait until one has ended.")

    def to_background(self, command: Command) -> None:
        """Let it go on without a call that waits for it.

        Raises:
            TooBusy: There are too many.
        """
        self.check_room(command.owner)
        command.background = True
        command.output.live = None

    def find(self, owner: str, command_id: str) -> Command:
        """A command of `owner`.

        Raises:
            NotFound: There is none of this id, or it is another's.
        """
        command = self._by_id.get(command_id)
        if command is None or command.owner != owner:
            raise NotFound("There is no command and no output with this id for this token.")
        return command

    def settle(self, command: Command, *, keep: bool) -> None:
        """The answer to the call that waited for an ended command is made: keep its output for later, or not."""
        if keep:
            command.background = True
            command.output.spooled.settle()
            self._bound()
        else:
            self._forget(command)

    async def cancel(self, command: Command) -> None:
        """Kill it and wait until it has ended."""
        self._kill(command)
        await asyncio.wait([command.task])

    def enforce(
        self, current: Callable[[Caller], Caller | None], owners: AbstractSet[str], tools: AbstractSet[str]
    ) -> int:
        """Kill what may not run any more, forget what is over; how many were killed.

        Args:
            current: A caller as it now stands, None where it is let in no longer.
            owners: Those with a token in force.
            tools: What the host offers now. A read-only host runs nothing that was begun before.
        """
        self.spool.expire()
        self._begun.keep(owners)
        killed = 0
        for command in list(self._by_id.values()):
            if command.running:
                if not command.cancelled and not _may_run(command, current(command.caller), tools):
                    self._kill(command)
                    killed += 1
            elif command.background and (command.owner not in owners or self._too_old(command)):
                self._forget(command)
        return killed

    async def done(self) -> None:
        """Wait until none runs any more, in the background or not."""
        while running := [command.task for command in self._by_id.values() if command.running]:
            await asyncio.wait(running)

    async def close(self) -> None:
        """Kill all and wait for it."""
        running = [command for command in self._by_id.values() if command.running]
        for command in running:
            self._kill(command)
        if running:
            await asyncio.wait([command.task for command in running])

    def _kill(self, command: Command) -> None:
        command.cancelled = command.cancelled or command.running
        command.task.cancel()

    def _too_old(self, command: Command) -> bool:
        return command.ended is not None and time.monotonic() - command.ended > KEPT_SECONDS

    def _has_ended(self, command: Command) -> None:
        command.ended = time.monotonic()
        error = command.error
        if error is not None and not isinstance(error, FairleadError):
            logger.error("A command failed unexpectedly", exc_info=error)
        if command.background:
            command.output.spooled.settle()
            self._on_background_end(command)
            self._bound()

    def _bound(self) -> None:
        """Forget the oldest of whoever has most, while too many are kept."""
        kept = [command for command in self._by_id.values() if command.background and not command.running]
        if len(kept) > KEPT:
            ((owner, _),) = Counter(command.owner for command in kept).most_common(1)
            self._forget(next(command for command in kept if command.owner == owner))

    def _forget(self, command: Command) -> None:
        self._by_id.pop(command.id, None)
        command.output.spooled.discard()


def _may_run(command: Command, caller: Caller | None, tools: AbstractSet[str]) -> bool:
    if caller is None or command.tool not in tools:
        return False
    return command.needs <= caller.permissions and selected(caller.tools, command.tool)
