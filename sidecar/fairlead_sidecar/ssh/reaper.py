"""Sees to it that what has to die on the host does, now or on a later connection."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fairlead_sidecar.config import Target
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.ssh.command import NotTaken, follow
from fairlead_sidecar.ssh.kill import all_gone, kill_script
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.marker import RemoteProcess
from fairlead_sidecar.ssh.order import Order
from fairlead_sidecar.ssh.pool import STARTUP_SECONDS, Pool, PoolGone
from fairlead_sidecar.ssh.program import compose
from fairlead_sidecar.ssh.request import CommandRequest, RunAs
from fairlead_sidecar.ssh.result import Stream

KILL_SECONDS = 5.0
"""Within which a kill is delivered and confirmed, or put off until the next connection."""
_END_SECONDS = 0.5
_ATTEMPTS = 3
MAX_PUT_OFF = 1000
"""Beyond it the oldest is forgotten."""
_NOW = "kill now"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A command that has to die."""

    process: RemoteProcess
    run_as: RunAs | None
    """It runs below sudo, and can be killed only so."""
    target: Target


class Reaper:
    """Kills commands; keeps in mind those that it can't reach."""

    def __init__(self, current: Callable[[], tuple[Pool, Target] | None]) -> None:
        """`current` gives the pool that is up, and the host it leads to."""
        self._current = current
        self._put_off: list[_Orphan] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def kill(self, launcher: Launcher, run_as: RunAs | None, pool: Pool, target: Target) -> asyncio.Task[None]:
        """End a running command, through the pool that it runs on; it goes on if nobody waits for it."""
        return self._spawn(self._kill_now(launcher, run_as, pool, target), name=_NOW)

    def remember(self, launcher: Launcher, run_as: RunAs | None, target: Target) -> None:
        """A command whose connection broke: nobody can follow it, so it dies as soon as the host can be reached."""
        self._put_off_until_connected(_Orphan(_process(launcher), run_as, target))
        self.connected()

    def end(self, process: RemoteProcess, run_as: RunAs | None, pool: Pool) -> None:
        """Kill what somebody else left, if that is possible now."""
        self._spawn(self._end(process, run_as, pool), name=_NOW)

    def clear(self, launcher: Launcher, run_as: RunAs | None, pool: Pool, target: Target) -> asyncio.Task[None]:
        """End what a command that has exited left behind, found by its marker: its number may be another's by now."""
        return self._spawn(self._clear(_Orphan(_process(launcher), run_as, target), pool), name=_NOW)

    def connected(self) -> None:
        """There is a connection: carry out what was put off."""
        current = self._current()
        if current is None:
            return
        mine = [orphan for orphan in self._put_off if orphan.target == current[1]]
        self._put_off = [orphan for orphan in self._put_off if orphan.target != current[1]]
        for orphan in mine:
            self._spawn(self._kill_orphan(orphan), name="kill orphan")

    async def close(self) -> None:
        """Give the kills that are under way their time."""
        urgent = [task for task in self._tasks if task.get_name() == _NOW]
        if urgent:
            await asyncio.wait(urgent, timeout=KILL_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def _kill_now(self, launcher: Launcher, run_as: RunAs | None, pool: Pool, target: Target) -> None:
        if launcher.process is None and not launcher.closed:
            # The shell is still starting: before that there is nothing to be found on the host.
            with suppress(TimeoutError):
                async with asyncio.timeout(STARTUP_SECONDS):
                    await launcher.ready.wait()
        if launcher.exited or not launcher.sent:
            launcher.close()
            return
        if await self._deliver(pool, _process(launcher), run_as, reconnected=False):
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await launcher.ended.wait()
            except TimeoutError:
                log.warning("The server did not report the end of a killed command")
        else:
            self._put_off_until_connected(_Orphan(_process(launcher), run_as, target))
            self.connected()
        launcher.close()

    async def _clear(self, orphan: _Orphan, pool: Pool) -> None:
        if not await self._deliver(pool, orphan.process, orphan.run_as, reconnected=True):
            self._put_off_until_connected(orphan)
            self.connected()

    async def _end(self, process: RemoteProcess, run_as: RunAs | None, pool: Pool) -> None:
        await self._deliver(pool, process, run_as, reconnected=False)

    async def _kill_orphan(self, orphan: _Orphan) -> None:
        for _ in range(_ATTEMPTS):
            current = self._current()
            if current is None or current[1] != orphan.target:
                break
            if await self._deliver(current[0], orphan.process, orphan.run_as, reconnected=True):
                return
            await asyncio.sleep(KILL_SECONDS)
        self._put_off_until_connected(orphan)

    async def _deliver(self, pool: Pool, process: RemoteProcess, run_as: RunAs | None, *, reconnected: bool) -> bool:
        """Run the kill script; whether it ran to its end."""
        deadline = asyncio.get_running_loop().time() + KILL_SECONDS
        # In sh, whatever the login shell is: zsh does not split words.
        request = CommandRequest(argv=("sh", "-c", kill_script(process, reconnected=reconnected)), run_as=run_as)
        answer = bytearray()

        def keep(stream: Stream, data: bytes) -> None:
            if stream == "stdout":
                answer.extend(data[:1024])

        order = Order(lambda launcher: compose(request, launcher.shell, launcher.nonce), keep, urgent=True)
        try:
            async with asyncio.timeout_at(deadline):
                await pool.serve(order)
            assert order.launcher is not None  # noqa: S101 - `serve` returned
            stopped = await follow(order.launcher, request, deadline=deadline)
        except (PoolGone, NotTaken, TimeoutError, FairleadError) as error:
            log.warning("A command on the host could not be killed yet: %s", error or type(error).__name__)
            return False
        if stopped:
            order.launcher.close()
            return False
        if not all_gone(bytes(answer)):
            log.warning("Some processes of a killed command are left on the host")
        return True

    def _put_off_until_connected(self, orphan: _Orphan) -> None:
        self._put_off.append(orphan)
        if len(self._put_off) > MAX_PUT_OFF:
            del self._put_off[0]
            log.warning("Too many commands wait to be killed on the host; the oldest is forgotten")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _process(launcher: Launcher) -> RemoteProcess:
    return launcher.process or RemoteProcess(None, launcher.call_id)
