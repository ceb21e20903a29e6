"""Commands that run until they are ended, with their input open: servers that speak on standard input and output."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from fairlead_sidecar.config import SidecarConfig, Target
from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.ssh.command import NotTaken, follow, not_a_shell, not_ready
from fairlead_sidecar.ssh.environment import configured
from fairlead_sidecar.ssh.flow import Inflow, Outflow
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.observer import Observer
from fairlead_sidecar.ssh.order import Order
from fairlead_sidecar.ssh.pool import TRIES, Pool, PoolGone
from fairlead_sidecar.ssh.program import Program, check, compose
from fairlead_sidecar.ssh.reaper import KILL_SECONDS, Reaper
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import CommandEnd, Stream

GRACE_SECONDS = 2.0
"""How long a command has after the end of its input before it is killed, as MCP has it for stdio servers."""
_PIECE = 64 * 1024

OnStderr = Callable[[bytes], None]
"""Gets what the command writes to its standard error; must return at once and never raise."""


class Held:
    """One such command, from the moment it was started."""

    def __init__(self, request: CommandRequest, pool: Pool, target: Target, on_stderr: OnStderr, observer: Observer):
        """Prepare it; `Holds` starts and ends it."""
        self.request, self.pool, self.target = request, pool, target
        self._on_stderr = on_stderr
        self._observer = observer
        self._launcher: Launcher | None = None
        self._in = Inflow(pause=self._pause, resume=self._resume)
        self._out = Outflow()
        self._open = True
        self._started = asyncio.get_running_loop().time()
        self.begun = asyncio.Event()
        """The shell has become the command, or has ended without."""
        self.enough = asyncio.Event()
        """It has ended, or nobody waits for it any more."""
        self.left: ConnectionLost | None = None
        """Why it was given up though its connection lived on."""

    @property
    def launcher(self) -> Launcher:
        """Its channel."""
        assert self._launcher is not None  # noqa: S101 - it was started
        return self._launcher

    @property
    def environment_known(self) -> bool:
        """Whether it has the variables of the account's interactive login shell."""
        return self.pool.facts is not None and self.pool.facts.captured

    async def read(self) -> bytes:
        """The next bytes of its standard output; empty at the end. While nobody reads, the command has to wait.

        Raises:
            ConnectionLost: The connection broke, or the configuration leads to another host now.
        """
        return await self._in.read()

    async def write(self, data: bytes) -> None:
        """Give it input; returns when little of it is left to be taken. One writer at a time.

        Raises:
            BrokenPipeError: It takes no more.
        """
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            if not self._open or self.launcher.channel is None:
                raise BrokenPipeError
            piece = bytes(view[start : start + _PIECE])
            # asyncssh raises the same where the channel is closed.
            self.launcher.channel.write(piece)
            self._observer.on_bytes("sent", len(piece))
            await self._out.drain()

    def close_stdin(self) -> None:
        """End its input."""
        if self._open:
            self._open = False
            self._out.resume()
            if self.launcher.channel is not None:
                with suppress(OSError):
                    self.launcher.channel.write_eof()

    async def wait(self) -> CommandEnd:
        """How it ended, once it has. Its last output may still wait to be read.

        Raises:
            ConnectionLost: The connection broke, or the configuration leads to another host now.
        """
        await self.launcher.ended.wait()
        if self.left is not None:
            raise self.left
        loop = asyncio.get_running_loop()
        await follow(self.launcher, self.request, deadline=loop.time())
        return CommandEnd(self.launcher.exit_code, self.launcher.signal, loop.time() - self._started, None)

    # --- for `Holds` ---

    def program(self, launcher: Launcher) -> Program:
        """The program for the shell that is to become the command."""
        self._launcher, launcher.holder = launcher, self
        return compose(self.request, launcher.shell, launcher.nonce, both=not launcher.ordered)

    def feed(self, stream: Stream, data: bytes) -> None:
        """Output came."""
        self._observer.on_bytes("received", len(data))
        if stream == "stdout":
            self._in.feed(data)
        else:
            self._on_stderr(data)

    async def watch(self) -> None:
        """Tell whoever waits when it has ended."""
        await self.launcher.ended.wait()
        lost = self.left
        if lost is None and self.launcher.sent and not self.launcher.exited:
            lost = ConnectionLost("The connection to the host was lost.", hint="It is being made again.")
        self._in.end(lost)
        self._out.resume()
        self.begun.set()
        self.enough.set()

    def leave(self) -> None:
        """The host it runs on is no longer the one that is asked for."""
        self.left = ConnectionLost("The configuration leads to another host now.", hint="Try again in a moment.")
        self._in.end(self.left)

    def let_go(self) -> None:
        """Nobody reads or writes any more."""
        self._in.discard()
        self.close_stdin()

    # --- called by the launcher ---

    @property
    def paused(self) -> bool:
        """Whether output waits for its reader, so that silence of the channel says nothing."""
        return self._in.paused

    def taken(self) -> None:
        """The shell becomes the command now."""
        self.begun.set()

    def eof_received(self) -> None:
        """It will write nothing more."""
        self._in.end()

    def pause_writing(self) -> None:
        """Too much input waits to be sent."""
        self._out.pause()

    def resume_writing(self) -> None:
        """There is room again."""
        self._out.resume()

    # --- inside ---

    def _pause(self) -> None:
        if self.launcher.channel is not None:
            self.launcher.channel.pause_reading()

    def _resume(self) -> None:
        if self.launcher.channel is not None:
            self.launcher.channel.resume_reading()


class Holds:
    """The held commands of one link.

    New credentials leave them where they are: their connection stays until the last of them has ended. Another target
    ends them, and `Held.read` says so.
    """

    def __init__(
        self,
        up: Callable[[float], Awaitable[tuple[Pool, Target]]],
        config: Callable[[], SidecarConfig],
        reaper: Reaper,
        observer: Observer,
    ) -> None:
        self._up = up
        self._config = config
        self._reaper = reaper
        self._observer = observer
        self._live: dict[Held, asyncio.Task[None]] = {}
        """With the task that watches each."""
        self._ending: dict[Held, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def hold(self, request: CommandRequest, *, timeout: float, on_stderr: OnStderr) -> AsyncIterator[Held]:
        """As `Link.hold`."""
        check(request)
        environment = self._config().environment
        if request.working_directory is None and environment.working_directory is not None:
            request = dataclasses.replace(request, working_directory=environment.working_directory)
        if request.run_as is not None:
            # sudo drops what the shell holds.
            variables = {**configured(environment), **request.environment}
            request = dataclasses.replace(request, environment=variables)
        request = dataclasses.replace(request, stdin_open=True)
        held = await self._start(request, asyncio.get_running_loop().time() + timeout, on_stderr)
        try:
            yield held
        finally:
            # Shielded: whoever gives up now must not stop the end.
            await asyncio.shield(self._end(held))

    def leave(self, pool: Pool) -> None:
        """End those that run on a pool which leads to a host that is no longer asked for."""
        for held in [held for held in self._live if held.pool is pool]:
            held.leave()
            self._end(held)

    async def close(self) -> None:
        """End all of them, without the time they would have after the end of their input."""
        ends = [self._end(held) for held in list(self._live)]
        for held in self._live:
            held.enough.set()
        if ends:
            await asyncio.wait(ends, timeout=KILL_SECONDS)

    # --- inside ---

    async def _start(self, request: CommandRequest, deadline: float, on_stderr: OnStderr) -> Held:
        tries = 0
        while True:
            pool, target = await self._up(deadline)
            held = Held(request, pool, target, on_stderr, self._observer)
            try:
                return await self._serve(held, deadline)
            except PoolGone:
                continue
            except NotTaken:
                tries += 1
                if tries == TRIES:
                    raise not_a_shell(held.launcher) from None

    async def _serve(self, held: Held, deadline: float) -> Held:
        order = Order(held.program, held.feed)
        try:
            async with asyncio.timeout_at(deadline):
                # It lives long, so it had better wait for the right PATH.
                await held.pool.answered.wait()
                await held.pool.serve(order)
                watch = asyncio.get_running_loop().create_task(held.watch())
                self._live[held] = watch
                await held.begun.wait()
            if not held.launcher.taken:
                await follow(held.launcher, held.request, deadline=deadline)
        except BaseException as error:
            self._live.pop(held, None)
            if order.launcher is not None:
                self._give_up(held, error)
            if isinstance(error, TimeoutError):
                raise (held.pool.too_busy() if order.launcher is None else not_ready()) from None
            raise
        return held

    def _give_up(self, held: Held, error: BaseException) -> None:
        if isinstance(error, ConnectionLost):
            # It may run there.
            self._reaper.remember(held.launcher, held.request.run_as, held.target)
        elif not held.launcher.ended.is_set():
            self._reaper.kill(held.launcher, held.request.run_as, held.pool, held.target)

    def _end(self, held: Held) -> asyncio.Task[None]:
        ending = self._ending.get(held)
        if ending is None:
            ending = self._ending[held] = asyncio.get_running_loop().create_task(self._finish(held))
            ending.add_done_callback(lambda _: self._ended(held))
        return ending

    async def _finish(self, held: Held) -> None:
        held.let_go()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await held.enough.wait()
        launcher, run_as = held.launcher, held.request.run_as
        if not launcher.ended.is_set():
            await self._reaper.kill(launcher, run_as, held.pool, held.target)
        elif launcher.exited:
            await self._reaper.clear(launcher, run_as, held.pool, held.target)
        else:
            self._reaper.remember(launcher, run_as, held.target)

    def _ended(self, held: Held) -> None:
        self._ending.pop(held, None)
        watch = self._live.pop(held, None)
        if watch is not None:
            watch.cancel()
