"""Watches one host's sidecar: what it says, whether MCP answers, whether the public URL leads to it.

Four light tasks share one view; each waits for what it needs instead of polling, except while nothing answers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import aiohttp
from pydantic import ValidationError

from fairlead_operator import metrics
from fairlead_operator.observe.handshake import shake_hands
from fairlead_operator.observe.http import CONNECT_TIMEOUT, jittered, read_bounded, timeout
from fairlead_operator.reconcile.observed import REACHED, Exposure, SidecarView
from fairlead_sidecar.statusz import LinkState, Statusz

logger = logging.getLogger(__name__)

LONG_POLL = 30.0
"""Seconds that the sidecar may hold back an answer when nothing changed."""
_RETRY_EXPECTED = 0.1
_EXPECTED_FOR = 3.0
"""Seconds for which an answer is expected any moment: the Deployment has just changed its status."""
_RETRY_STARTING = 2.0
_STARTING_FOR = 60.0
"""Seconds for which a pod may be starting."""
_RETRY_SLOW = 5.0
_RETRY_FAST = 0.2
_POD_PROBLEM_AFTER = 3.0
_POD_PROBLEM_EVERY = 5.0
_RECHECK_EXPOSURE = 300.0
_REPOKE_REFUSED = 600.0
_ANSWER_LIMIT = 1024 * 1024
_MOST_ANSWERS = 60
"""Within `_MOST_SECONDS`: a host whose state never rests, or something that poses as its sidecar, must not take the
operator's time from the others."""
_MOST_SECONDS = 20.0


@dataclass(frozen=True)
class Target:
    """Which sidecar is watched, and what it should be doing."""

    instance: str
    """UID of the RemoteHost."""
    status_url: str
    mcp_url: str
    host_header: str
    """The Service's name, for the calls that go to its address."""
    public_url: str | None
    probe_token: str = field(repr=False)
    digest: str
    """Digest of the configuration that should be in force."""
    current: frozenset[str]
    """Digests of configurations for the object's present generation: what a sidecar with one of them says, counts."""


class SidecarObserver:
    """Watches until it is closed; `view` holds what is known, `changed` is called when that is something else."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        target: Target,
        *,
        changed: Callable[[], None],
        check_exposure: Callable[[str, str], Awaitable[Exposure]],
        poke: Callable[[str], Awaitable[None]],
        pod_problem: Callable[[], Awaitable[str]],
    ) -> None:
        self._session = session
        self._target = target
        self._changed = changed
        self._check_exposure = check_exposure
        self._poke = poke
        self._pod_problem = pod_problem
        self._tick = asyncio.Event()
        self._problem_at = 0.0
        self._expected_until = 0.0
        self.view = SidecarView()
        self._task = asyncio.create_task(self._run(), name=f"observe {target.host_header}")

    async def close(self) -> None:
        """Stop watching."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def retarget(self, target: Target) -> None:
        """Watch with another target from now on."""
        before, self._target = self._target, target
        if before == target:
            return
        view = self.view
        if (before.mcp_url, before.status_url) != (target.mcp_url, target.status_url):
            view = replace(view, handshake=None)
        if before.public_url != target.public_url:
            view = replace(view, exposure=None)
        self._show(self._judge(view))
        self._wake()

    def expect(self) -> None:
        """Something about the pod changed: ask again soon."""
        self._expected_until = asyncio.get_running_loop().time() + _EXPECTED_FOR
        if not self.view.answering:
            self._wake()

    @property
    def loaded_digest(self) -> str | None:
        """Digest of the configuration in force, as far as the sidecar said."""
        return self.view.statusz.config_digest if self.view.statusz is not None else None

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._poll())
                    tasks.create_task(self._keep_poking())
                    tasks.create_task(self._keep_shaking_hands())
                    tasks.create_task(self._keep_checking_exposure())
            except ExceptionGroup:
                # One host's observer must not take the operator along: the others go on, and this one starts anew.
                logger.exception("watching %s failed", self._target.host_header)
                await asyncio.sleep(jittered(_RETRY_SLOW))

    # What is known

    def _show(self, view: SidecarView) -> None:
        if view != self.view:
            self.view = view
            self._wake()
            self._changed()

    def _wake(self) -> None:
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()

    async def _until(self, holds: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until something holds, at most so long. Returns whether it does."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self._tick.wait()
        except TimeoutError:
            return False
        return True

    def _judge(self, view: SidecarView) -> SidecarView:
        """Say since when the configuration in force is outdated, if it is."""
        if view.statusz is None or view.statusz.config_digest in self._target.current:
            return replace(view, outdated_since=None)
        return replace(view, outdated_since=view.outdated_since or _now())

    @property
    def _current(self) -> bool:
        return self.view.answering and self.view.outdated_since is None

    # Status

    async def _poll(self) -> None:
        version = None
        answers = deque[float](maxlen=_MOST_ANSWERS)
        while True:
            url = self._target.status_url
            try:
                statusz = await self._ask(url, version)
            except (aiohttp.ClientError, TimeoutError, ValidationError, ValueError) as error:
                version = None
                metrics.STATUSZ_POLLS.labels("failed").inc()
                await self._silent(error)
                continue
            metrics.STATUSZ_POLLS.labels("answered").inc()
            version = statusz.version if url == self._target.status_url else None
            self._show(self._judge(replace(self.view, statusz=statusz, silent_since=None, pod_problem="")))
            now = asyncio.get_running_loop().time()
            if len(answers) == _MOST_ANSWERS and now - answers[0] < _MOST_SECONDS:
                await asyncio.sleep(_MOST_SECONDS / _MOST_ANSWERS)
            answers.append(now)

    async def _ask(self, url: str, after: str | None) -> Statusz:
        query = {"after": after, "timeout": f"{LONG_POLL:.0f}"} if after is not None else {}
        limit = timeout(LONG_POLL + 5 if after is not None else 3, CONNECT_TIMEOUT)
        headers = {"Host": self._target.host_header}
        async with self._session.get(
            url, params=query, headers=headers, timeout=limit, allow_redirects=False
        ) as response:
            response.raise_for_status()
            return Statusz.model_validate_json(await read_bounded(response, _ANSWER_LIMIT))

    async def _silent(self, error: Exception) -> None:
        now = _now()
        since = self.view.silent_since or now
        silent_for = (now - since).total_seconds()
        if self.view.silent_since is None:
            logger.debug("%s does not answer: %r", self._target.host_header, error)
        # The sidecar that answers next may be another process, in a new pod.
        view = replace(self.view, silent_since=since, handshake=None)
        loop_time = asyncio.get_running_loop().time()
        every = _POD_PROBLEM_EVERY if silent_for < _STARTING_FOR else 3 * _RETRY_SLOW
        if silent_for >= _POD_PROBLEM_AFTER and loop_time - self._problem_at >= every:
            self._problem_at = loop_time
            view = replace(view, pod_problem=await self._pod_problem())
        self._show(view)
        if self._expected():
            await asyncio.sleep(jittered(_RETRY_EXPECTED))
        else:
            await self._until(self._expected, jittered(_RETRY_STARTING if silent_for < _STARTING_FOR else _RETRY_SLOW))

    def _expected(self) -> bool:
        return asyncio.get_running_loop().time() < self._expected_until

    # Everything that follows from the status

    async def _keep_poking(self) -> None:
        """Make the kubelet sync the pod until the newest configuration is in force."""
        while True:
            await self._until(self._behind)
            wanted, wait = self._target.digest, 1.0
            while self._behind() and self._target.digest == wanted:
                await self._poke(wanted)
                settled = partial(self._settled, wanted)
                # A pod that read the configuration and refused it won't think better of it.
                refused = self.view.statusz is not None and self.view.statusz.config_error is not None
                if not await self._until(settled, seconds=_REPOKE_REFUSED if refused else jittered(wait)):
                    wait = min(wait * 2, 60.0)

    def _settled(self, digest: str) -> bool:
        return not self._behind() or self._target.digest != digest

    def _behind(self) -> bool:
        return self.view.answering and self.loaded_digest != self._target.digest

    async def _keep_shaking_hands(self) -> None:
        wait = _RETRY_FAST
        while True:
            await self._until(self._may_shake_hands)
            target = self._target
            result = await shake_hands(self._session, target.mcp_url, target.host_header, target.probe_token)
            metrics.HANDSHAKES.labels("ok" if result.ok else "failed").inc()
            if target.mcp_url == self._target.mcp_url and self._current:
                self._show(replace(self.view, handshake=result))
            if result.ok:
                wait = _RETRY_FAST
            else:
                await asyncio.sleep(jittered(wait))
                wait = min(wait * 2, 2 * _RETRY_SLOW)

    def _may_shake_hands(self) -> bool:
        statusz, done = self.view.statusz, self.view.handshake
        connected = statusz is not None and statusz.link.state is LinkState.CONNECTED
        return self._current and connected and not (done is not None and done.ok)

    async def _keep_checking_exposure(self) -> None:
        wait = _RETRY_FAST
        while True:
            await self._until(lambda: self._current and self._target.public_url is not None)
            url = self._target.public_url
            if url is None:
                continue
            result = await self._check_exposure(url, self._target.instance)
            if url == self._target.public_url:
                first = self.view.exposure is None
                # Routing takes a moment to be set up: what fails at first is not yet news.
                if result.reason in REACHED or not first or wait > 4 * _RETRY_FAST:
                    self._show(replace(self.view, exposure=result))
            reached = result.reason in REACHED
            wait = min(wait * 2, 60.0)
            moved = partial(self._has_moved, url)
            if await self._until(moved, seconds=jittered(_RECHECK_EXPOSURE if reached else wait)) or reached:
                wait = _RETRY_FAST

    def _has_moved(self, url: str) -> bool:
        return self._target.public_url != url


def _now() -> datetime:
    return datetime.now(UTC)
