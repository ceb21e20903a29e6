"""Runs commands through the pool that is up: gives them to shells, follows them, sees to it that they end."""

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Awaitable, Callable

from fairlead_sidecar.config import SidecarConfig, Target
from fairlead_sidecar.errors import ConnectionLost, FairleadError
from fairlead_sidecar.ssh.command import NotTaken, follow, not_a_shell, not_ready
from fairlead_sidecar.ssh.environment import CAPTURE_SECONDS, capture_script, configured, parse_capture, read_secret
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.marker import SIDECAR, instance_of
from fairlead_sidecar.ssh.observer import Observer
from fairlead_sidecar.ssh.order import Order
from fairlead_sidecar.ssh.pool import TRIES, Pool, PoolGone
from fairlead_sidecar.ssh.program import Program, check, compose
from fairlead_sidecar.ssh.reaper import Reaper
from fairlead_sidecar.ssh.request import CommandRequest, RunAs
from fairlead_sidecar.ssh.result import CommandEnd, Sink, Stream
from fairlead_sidecar.ssh.sweep import AGAIN_SECONDS, leftovers, sweep_script

_MAX_ANSWER = 1024 * 1024

log = logging.getLogger(__name__)

Up = Callable[[float], Awaitable[tuple[Pool, Target]]]
"""The pool that is up and the host it leads to; waits a moment for one, no longer than the given time."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Times:
    """On the event loop's clock."""

    started: float
    deadline: float
    idle: float | None = None
    """Seconds."""


class Runner:
    """The commands of one link."""

    def __init__(self, up: Up, config: Callable[[], SidecarConfig], reaper: Reaper, observer: Observer) -> None:
        self._up = up
        self._config = config
        self._reaper = reaper
        self._observer = observer

    async def run(
        self, request: CommandRequest, *, timeout: float, idle_timeout: float | None, sink: Sink
    ) -> CommandEnd:
        """As `Link.run_command`."""
        check(request)
        environment = self._config().environment
        if request.working_directory is None and environment.working_directory is not None:
            request = dataclasses.replace(request, working_directory=environment.working_directory)
        variables = {} if request.run_as is None else configured(environment)
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + timeout

        def feed(stream: Stream, data: bytes) -> None:
            self._observer.on_bytes("received", len(data))
            sink(stream, data)

        def program(launcher: Launcher) -> Program:
            self._observer.on_bytes("sent", _size(request))
            return compose(request, launcher.shell, launcher.nonce, variables, both=not launcher.ordered)

        tries = 0
        while True:
            pool, target = await self._up(deadline)
            order = Order(program, feed)
            try:
                return await self._serve(pool, target, order, request, _Times(started, deadline, idle_timeout))
            except PoolGone:
                continue
            except NotTaken:
                tries += 1
                if tries == TRIES and order.launcher is not None:
                    raise not_a_shell(order.launcher) from None

    async def capture(self, pool: Pool, target: Target) -> None:
        """Ask the account's shells about themselves, once for a pool."""
        nonce = secrets.token_hex(12)
        request = CommandRequest(command=capture_script(nonce))
        answer = bytearray()
        keep = _keeper(answer)
        order = Order(lambda launcher: compose(request, launcher.shell, launcher.nonce), keep, urgent=True)
        started = asyncio.get_running_loop().time()
        try:
            await self._serve(pool, target, order, request, _Times(started, started + CAPTURE_SECONDS))
        except (PoolGone, NotTaken, FairleadError):
            log.debug("The environment could not be captured", exc_info=True)
        facts = parse_capture(bytes(answer), nonce)
        if facts.shell is not None and not facts.captured and pool.alive:
            log.warning(
                "The account's interactive login shell did not tell its environment within %g s; commands run without",
                CAPTURE_SECONDS,
            )
        if order.launcher is not None:
            facts = dataclasses.replace(facts, silent=order.launcher.silent)
        pool.learned(facts)

    async def sweep(self, pool: Pool, target: Target) -> None:
        """End what former sidecars left running, now and once more later."""
        instance = instance_of(self._config().instance)
        # In sh, whatever the login shell is.
        request = CommandRequest(argv=("sh", "-c", sweep_script(instance)))
        for pause in (0.0, AGAIN_SECONDS):
            await asyncio.sleep(pause)
            answer = bytearray()
            started = asyncio.get_running_loop().time()
            try:
                await self._serve(
                    pool,
                    target,
                    Order(lambda launcher: compose(request, launcher.shell, launcher.nonce), _keeper(answer)),
                    request,
                    _Times(started, started + CAPTURE_SECONDS),
                )
            except (PoolGone, NotTaken, FairleadError):
                log.debug("Looking for what former sidecars left failed", exc_info=True)
            for leftover in leftovers(bytes(answer), instance, SIDECAR):
                sudo = self._config().policy.sudo
                # Anybody on the host can run something that looks like one, with any account in it.
                if leftover.user is not None and (sudo.type == "Never" or leftover.user not in sudo.users):
                    log.warning("Not ending what looks like a former sidecar's command: the policy allows no such sudo")
                    continue
                log.warning("Ending a command that a former sidecar left running on the host")
                self._reaper.end(leftover.process, self._sudo(leftover.user), pool)

    def _sudo(self, user: str | None) -> RunAs | None:
        if user is None:
            return None
        password = self._config().policy.sudo.password
        try:
            return RunAs(user, read_secret(password).rstrip("\n") if password is not None else None)
        except FairleadError:
            return RunAs(user)

    async def _serve(
        self,
        pool: Pool,
        target: Target,
        order: Order,
        request: CommandRequest,
        times: _Times,
    ) -> CommandEnd:
        deadline = times.deadline
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    await pool.serve(order)
            except TimeoutError:
                if order.launcher is None:
                    raise
            launcher = order.launcher
            assert launcher is not None  # noqa: S101 - `serve` returned
            stopped = await follow(launcher, request, deadline=deadline, idle_timeout=times.idle)
        except TimeoutError:
            raise pool.too_busy() from None
        except ConnectionLost:
            # It may still run there.
            if order.launcher is not None:
                self._reaper.remember(order.launcher, request.run_as, target)
            raise
        except (PoolGone, NotTaken, FairleadError):
            raise
        except BaseException:
            if order.launcher is not None:
                self._reaper.kill(order.launcher, request.run_as, pool, target)
            raise
        if launcher.exited:
            stopped = None
        elif stopped is not None:
            kill = self._reaper.kill(launcher, request.run_as, pool, target)
            if launcher.process is None:
                raise not_ready()
            # Shielded: a caller who gives up now must not stop the kill.
            await asyncio.shield(kill)
        now = asyncio.get_running_loop().time()
        return CommandEnd(launcher.exit_code, launcher.signal, now - times.started, stopped)


def _keeper(answer: bytearray) -> Sink:
    def keep(stream: Stream, data: bytes) -> None:
        if stream == "stdout" and len(answer) < _MAX_ANSWER:
            answer.extend(data)

    return keep


def _size(request: CommandRequest) -> int:
    texts = (request.command or "", *(request.argv or ()))
    script = len(request.script.content) if request.script is not None else 0
    return sum(len(text.encode("utf-8", "surrogateescape")) for text in texts) + script + len(request.stdin)
