"""What the operator knows of running sidecars. All of it can be found out anew after a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import aiohttp

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.observe.sidecar import SidecarObserver, Target
from fairlead_operator.reconcile.endpoint import MCP_SUFFIX
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host, Key
from fairlead_operator.reconcile.observed import Exposure, SidecarView
from fairlead_operator.reconcile.patterns import unusable_pattern
from fairlead_operator.settings import Settings
from fairlead_sidecar.config import INTERNAL_PORT, PUBLIC_PORT, Endpoint, TokenGrant

logger = logging.getLogger(__name__)

_REMEMBERED = 16
"""How many configurations of the present generation are remembered: more than can be on their way at once."""


class Runtime:
    """One host's sidecar."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.address: str | None = None
        """The Service's cluster IP."""
        self.observer: SidecarObserver | None = None
        self.digest = ""
        """Of the configuration that was applied last."""
        self.undelivered_since: datetime | None = None
        """Since when the sidecar's tokens can't be written."""
        self._checked: tuple[int, str] | None = None
        self._generation = -1
        self._grants: dict[str, frozenset[TokenGrant]] = {}
        self._loaded: str | None = None
        self._used: dict[str, datetime] = {}

    @property
    def view(self) -> SidecarView:
        """What is known of the sidecar."""
        return self.observer.view if self.observer is not None else SidecarView()

    @property
    def current(self) -> frozenset[str]:
        """Digests of the configurations that were made for the object's present generation."""
        return frozenset(self._grants)

    @property
    def told(self) -> frozenset[TokenGrant]:
        """The tokens of the configuration that was applied last."""
        return self._grants.get(self.digest, frozenset())

    async def unusable_pattern(self, host: Host, spec: RemoteHostSpec) -> str:
        """Which pattern of the spec can't be used, in a sentence; empty: all can."""
        if self._checked is None or self._checked[0] != host.generation:
            self._checked = (host.generation, await asyncio.to_thread(unusable_pattern, spec))
        return self._checked[1]

    def rendered(self, generation: int, digest: str, grants: frozenset[TokenGrant]) -> None:
        """Remember a configuration that was applied."""
        if generation != self._generation:
            self._generation = generation
            self._grants.clear()
        self._grants.pop(digest, None)
        self._grants[digest] = grants
        while len(self._grants) > _REMEMBERED:
            del self._grants[next(iter(self._grants))]
        self.digest = digest

    def loaded_grants(self) -> frozenset[TokenGrant] | None:
        """The tokens that the sidecar knows at present; None where it can't be told."""
        view = self.view
        if view.statusz is None or not view.answering or view.statusz.config_digest is None:
            return None
        return self._grants.get(view.statusz.config_digest)

    def has_grant(self, uid: str) -> bool:
        """Whether the newest configuration holds a token of this McpToken."""
        return any(grant.uid == uid for grant in self._grants.get(self.digest, ()))

    def take_loaded(self) -> bool:
        """Whether the sidecar has loaded another configuration since this was asked last."""
        loaded = self.observer.loaded_digest if self.observer is not None and self.view.answering else None
        before, self._loaded = self._loaded, loaded
        return loaded is not None and loaded != before

    def take_used(self) -> frozenset[str]:
        """UIDs of the McpTokens that the sidecar saw in another hour than when this was asked last."""
        now = dict(self.view.statusz.last_used) if self.view.statusz is not None else {}
        before, self._used = self._used, now
        return frozenset(uid for uid, hour in now.items() if before.get(uid) != hour)

    def last_used(self, uid: str) -> datetime | None:
        """The hour in which the sidecar saw this McpToken last; None: not since it runs."""
        return self._used.get(uid)

    async def stop(self) -> None:
        """Stop watching the sidecar."""
        observer, self.observer = self.observer, None
        if observer is not None:
            await observer.close()


class Runtimes:
    """The sidecars of all hosts."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        *,
        changed: Callable[[Key], None],
        check_exposure: Callable[[str, str], Awaitable[Exposure]],
        poke: Callable[[Key, str], Awaitable[None]],
        pod_problem: Callable[[Key], Awaitable[str]],
    ) -> None:
        self._settings = settings
        self._session = session
        self._changed = changed
        self._check_exposure = check_exposure
        self._poke = poke
        self._pod_problem = pod_problem
        self._runtimes: dict[Key, Runtime] = {}

    def get(self, key: Key) -> Runtime | None:
        """What is known of a host's sidecar, None where the host has not been worked on."""
        return self._runtimes.get(key)

    def last_used(self, key: Key, uid: str) -> datetime | None:
        """The hour in which a host's sidecar saw an McpToken last; None: not since it runs, or it can't be told."""
        runtime = self._runtimes.get(key)
        return runtime.last_used(uid) if runtime is not None else None

    async def of(self, host: Host) -> Runtime:
        """What is known of a host's sidecar."""
        runtime = self._runtimes.get(host.key)
        if runtime is None or runtime.uid != host.uid:
            await self.drop(host.key)
            runtime = self._runtimes[host.key] = Runtime(host.uid)
        return runtime

    async def drop(self, key: Key) -> None:
        """Forget a host's sidecar."""
        runtime = self._runtimes.pop(key, None)
        if runtime is not None:
            await runtime.stop()

    def expect(self, key: Key) -> None:
        """Something about a host's pod changed."""
        runtime = self._runtimes.get(key)
        if runtime is not None and runtime.observer is not None:
            runtime.observer.expect()

    async def close(self) -> None:
        """Stop watching all."""
        for key in list(self._runtimes):
            await self.drop(key)

    def watch(self, host: Host, endpoint: Endpoint, runtime: Runtime, probe_token: str) -> None:
        """Watch a host's sidecar, from now on with what holds now."""
        key = host.key
        target = Target(
            instance=host.uid,
            status_url=self._url(key, runtime, INTERNAL_PORT) + "/statusz",
            mcp_url=self._url(key, runtime, PUBLIC_PORT) + endpoint.path + MCP_SUFFIX,
            host_header=f"{child_name(key.name)}.{key.namespace}.svc",
            public_url=endpoint.public_url,
            probe_token=probe_token,
            digest=runtime.digest,
            current=runtime.current,
        )
        if runtime.observer is not None:
            runtime.observer.retarget(target)
            return
        runtime.observer = SidecarObserver(
            self._session,
            target,
            changed=lambda: self._changed(key),
            check_exposure=self._check_exposure,
            poke=lambda digest: self._poke(key, digest),
            pod_problem=lambda: self._pod_problem(key),
        )

    def _url(self, key: Key, runtime: Runtime, port: int) -> str:
        service = child_name(key.name)
        address = runtime.address or f"{service}.{key.namespace}.svc"
        return self._settings.sidecar_url_template.format(
            address=f"[{address}]" if ":" in address else address,
            service=service,
            namespace=key.namespace,
            port=port,
        )
