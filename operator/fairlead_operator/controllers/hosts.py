"""Brings one RemoteHost's children and status to what they should be."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fairlead_api.conditions import HostReason
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.cluster.applier import Applier, Claimant
from fairlead_operator.cluster.errors import ApiError, Conflict, NotFound
from fairlead_operator.cluster.events import Events
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.permissions import OWN_SECRETS
from fairlead_operator.cluster.resources import DEPLOYMENTS, NETWORK_POLICIES, Resource
from fairlead_operator.controllers.configuration import Configurations, claimant_of
from fairlead_operator.controllers.departures import Departures
from fairlead_operator.controllers.host_credentials import HostCredentialsKeeper
from fairlead_operator.controllers.host_key_pins import HostKeyPins
from fairlead_operator.controllers.routing import Routing
from fairlead_operator.controllers.runtime import Runtime, Runtimes
from fairlead_operator.controllers.store import Store
from fairlead_operator.controllers.troubles import RETRY_DELETING, Troubles, Unusable
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.credentials.signing_keys import SigningKeys
from fairlead_operator.reconcile.conditions import Findings, hindered, host_findings, recheck_in, unreadable
from fairlead_operator.reconcile.deployment import deployment
from fairlead_operator.reconcile.endpoint import Endpoint, resolve_endpoint
from fairlead_operator.reconcile.grants import Told, revokes, with_tokens
from fairlead_operator.reconcile.host_config import sidecar_config
from fairlead_operator.reconcile.host_credentials import HostCredentials
from fairlead_operator.reconcile.host_keys import HOST_KEY_FIELDS, HostKeyState
from fairlead_operator.reconcile.host_status import announcements, differs, host_status
from fairlead_operator.reconcile.jumps import Hop, NoWay, way
from fairlead_operator.reconcile.jwt_claims import jwt_trust
from fairlead_operator.reconcile.mounts import Mounted, mounted, withheld
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.network_policy import network_policy
from fairlead_operator.reconcile.objects import Host, Key, read_host, status_manifest
from fairlead_operator.reconcile.observed import GRACE, HostObservation, Obstacle
from fairlead_operator.reconcile.placement import drain_timeout, placed
from fairlead_operator.reconcile.routing import route_manifest
from fairlead_operator.reconcile.service import service
from fairlead_operator.settings import Settings
from fairlead_sidecar import tokens
from fairlead_sidecar.config import SidecarConfig, TokenGrant, digest

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for which a revocation may wait for an API server that does not answer before the pod is stopped instead."""


class HostController:
    """Works on hosts, one key at a time."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        objects: Objects,
        applier: Applier,
        events: Events,
        secrets: SecretMetadata,
        credentials: HostCredentialsKeeper,
        host_keys: HostKeyPins,
        routing: Routing,
        runtimes: Runtimes,
        probe_key: bytes,
        signing_keys: SigningKeys,
        departures: Departures,
        host_key_changed: Callable[[Host], None],
        loaded: Callable[[Host], None],
        used: Callable[[Host, frozenset[str]], None],
    ) -> None:
        """Make a controller.

        Args:
            settings: The operator's settings.
            store: All hosts and tokens.
            objects: Reads and writes.
            applier: Applies children.
            events: Writes Events.
            secrets: Metadata of Secrets.
            credentials: What the operator makes for logins.
            host_keys: What is trusted of hosts.
            routing: What leads to hosts from outside.
            runtimes: What is known of running sidecars.
            probe_key: From which the operator's own credentials are derived.
            signing_keys: The keys of JWTs.
            departures: Ends pods at once that take their time.
            host_key_changed: Called when another key of a host is trusted or refused, or a person accepted one.
            loaded: Called when a sidecar has loaded another configuration, or tokens found room or lost it.
            used: Called with the UIDs of the McpTokens that a sidecar saw in another hour than before.
        """
        self._settings = settings
        self._store = store
        self._objects = objects
        self._applier = applier
        self._events = events
        self._secrets = secrets
        self._credentials = credentials
        self._host_keys = host_keys
        self._routing = routing
        self._runtimes = runtimes
        self._probe_key = probe_key
        self._signing_keys = signing_keys
        self._departures = departures
        self._host_key_changed = host_key_changed
        self._loaded = loaded
        self._used = used
        self._configurations = Configurations(objects, applier)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one host to where it should be.

        Returns:
            After how many seconds to look again; None: when something changes.
        """
        host = self._store.host(key)
        if host is None or host.deleting:
            if (runtime := self._runtimes.get(key)) is not None:
                self._departures.hurry(key, tokens.probe_token(self._probe_key, runtime.uid))
            self._credentials.forget(key)
            await self._runtimes.drop(key)
            return None
        told = self._store.grants_for(host)
        if told is None:
            return None
        return await self._bring(host, told, await self._runtimes.of(host))

    async def _bring(self, host: Host, told: tuple[Told, ...], runtime: Runtime) -> float | None:
        """Do all that can be done, whatever stands in the way of the rest; then say what that is.

        Tokens come first, so that a revocation does not wait until somebody has mended something else.
        """
        spec = host.spec
        endpoint = resolve_endpoint(host.key, spec, self._settings) if spec is not None else None
        troubles = Troubles()
        credentials: HostCredentials | None = None
        config = host_key = None
        hops: tuple[Hop, ...] = ()
        with troubles.noted():
            if spec is None or endpoint is None:
                raise Unusable(unreadable(host.invalid))
            if problem := await runtime.unusable_pattern(host, spec):
                raise Unusable(Obstacle(HostReason.INVALID_SPEC, problem))
            credentials = await self._credentials.obtain(host, spec, runtime.view)
            hops = self._way(host, spec)
            if problem := withheld(
                mounted(host.key.name, spec, hops),
                self._store.authority_secrets(host.key.namespace),
                OWN_SECRETS if host.key.namespace == self._settings.namespace else (),
            ):
                raise Unusable(Obstacle(HostReason.INVALID_SPEC, problem))
            host_key = await self._host_keys.obtain(host, spec, hops, runtime.view)
            config = self._config(host, spec, hops, endpoint, credentials=credentials, host_key=host_key)
        delivered = await self._deliver(host, told, config, runtime, troubles)
        closed = delivered is None and await self._must_close(host, told, runtime, troubles)
        await self._bring_children(host, hops, endpoint, runtime, delivered=delivered, troubles=troubles, closed=closed)
        if closed or (spec is not None and spec.suspended):
            await runtime.stop()
        elif delivered is not None:
            self._runtimes.watch(host, delivered.endpoint, runtime, self._probe(host))
        if troubles.terminating or (troubles.waiting and datetime.now(UTC) - host.created < GRACE):
            return RETRY_DELETING if troubles.waiting else None
        obstacle, passing = troubles.obstacle(closed=closed), troubles.passing
        if passing is not None and obstacle is None:
            if host.status.get("conditions") or datetime.now(UTC) - host.created < GRACE:
                raise passing
            # Of a host that nothing was said of yet: a webhook that does not answer may be like that for days.
            obstacle = troubles.first
        again = await self._report(
            host, hops, endpoint, runtime, credentials=credentials, host_key=host_key, obstacle=obstacle
        )
        if passing is not None:
            raise passing
        return again

    async def _report(
        self,
        host: Host,
        hops: tuple[Hop, ...],
        endpoint: Endpoint | None,
        runtime: Runtime,
        *,
        credentials: HostCredentials | None,
        host_key: HostKeyState | None,
        obstacle: Obstacle | None,
    ) -> float | None:
        """Write what was found. Returns after how many seconds to look again."""
        spec = host.spec
        secrets = mounted(host.key.name, spec, hops) if spec is not None else []
        missing = [some for some in secrets if self._secrets.get(host.key.namespace, some.name) is None]
        seen = HostObservation(
            now=datetime.now(UTC),
            view=runtime.view,
            secret_exists=spec is not None and secrets[0] not in missing,
            missing_secrets=tuple(some for some in missing if some is not secrets[0]),
            credentials=credentials,
            host_key=host_key,
            obstacle=obstacle,
            endpoint_winner=self._store.endpoint_winner(host.key),
            route_problem=await self._routing.problem(host, endpoint, runtime.view),
        )
        if spec is not None and endpoint is not None:
            findings = host_findings(host, spec, endpoint, seen)
        else:
            findings = hindered(obstacle or unreadable(host.invalid))
        await self._write_status(host, endpoint, seen, findings)
        if runtime.take_loaded():
            self._loaded(host)
        if used := runtime.take_used():
            self._used(host, used)
        retry = obstacle.retry if obstacle is not None else None
        due = credentials.again if credentials is not None else None
        return min((wait for wait in (retry, due, recheck_in(seen)) if wait is not None), default=None)

    def _way(self, host: Host, spec: RemoteHostSpec) -> tuple[Hop, ...]:
        try:
            return way(host.key.name, spec, lambda name: self._store.host(Key(host.key.namespace, name)))
        except NoWay as error:
            raise Unusable(Obstacle(error.reason, error.message)) from None

    def _version(self, host: Host, secrets: list[Mounted], credentials: HostCredentials | None) -> str:
        """What changes whenever one of the mounted Secrets does."""
        own, *others = dict.fromkeys(secret.name for secret in secrets)
        versions = {}
        for name in (own, *others):
            meta = self._secrets.get(host.key.namespace, name)
            versions[name] = f"{meta.uid}/{meta.version}" if meta is not None else ""
        if credentials is not None:
            # The Secret changes for other reasons, too.
            versions[own] = credentials.version
        return digest("\n".join(f"{name} {version}" for name, version in sorted(versions.items())))

    def _probe(self, host: Host) -> str:
        return tokens.probe_token(self._probe_key, host.uid)

    def _config(
        self,
        host: Host,
        spec: RemoteHostSpec,
        hops: tuple[Hop, ...],
        endpoint: Endpoint,
        *,
        credentials: HostCredentials | None,
        host_key: HostKeyState,
    ) -> SidecarConfig:
        version = self._version(host, mounted(host.key.name, spec, hops), credentials)
        return sidecar_config(
            host,
            spec,
            hops,
            endpoint,
            host_key=host_key,
            trusted_proxies=self._settings.endpoint_trusted_proxies,
            credentials_version=version,
            drain_timeout=drain_timeout(placed(spec.sidecar, self._settings.sidecar_defaults)),
        )

    async def _deliver(
        self,
        host: Host,
        told: tuple[Told, ...],
        config: SidecarConfig | None,
        runtime: Runtime,
        troubles: Troubles,
    ) -> SidecarConfig | None:
        """Write the configuration, or else the former one with the tokens of today. Returns what was written."""
        with troubles.noted():
            if config is None:
                config = await self._configurations.present(host)
                if config is None:
                    return None
            config, left_out = self._with_tokens(host, config, told)
            before = await self._told_before(host, runtime)
            # Before all else: a pod that is told of later starts with it.
            written = await self._configurations.write(host, config)
            if revokes(before, config.tokens, datetime.now(UTC)):
                self._departures.hurry(host.key, self._probe(host))
            runtime.rendered(host.generation, written, frozenset(config.tokens))
            runtime.undelivered_since = None
            if self._store.leave_out(host.key, left_out):
                self._loaded(host)
            return config
        return None

    async def _told_before(self, host: Host, runtime: Runtime) -> frozenset[TokenGrant]:
        """The tokens of the configuration that was written last."""
        if runtime.digest:
            return runtime.told
        if self._secrets.get(host.key.namespace, child_name(host.key.name)) is None:
            return frozenset()
        present = await self._configurations.present(host)
        return frozenset(present.tokens) if present is not None else frozenset()

    def _with_tokens(
        self, host: Host, config: SidecarConfig, told: tuple[Told, ...]
    ) -> tuple[SidecarConfig, frozenset[str]]:
        trust = jwt_trust(host.key, config.endpoint, self._signing_keys.public(), self._settings.issuer)
        probe = tokens.sha256_hex(self._probe(host))
        return with_tokens(config, told, probe_sha256=probe, trust=trust, now=datetime.now(UTC))

    async def _must_close(self, host: Host, told: tuple[Told, ...], runtime: Runtime, troubles: Troubles) -> bool:
        """Whether a sidecar that can't be told of its tokens may know one that is no longer good."""
        now = datetime.now(UTC)
        runtime.undelivered_since = runtime.undelivered_since or now
        if troubles.passing is not None and (now - runtime.undelivered_since).total_seconds() < PATIENCE:
            return False
        try:
            present = await self._configurations.present(host)
        except ApiError:
            present = None
        if present is not None:
            return revokes(present.tokens, (grant for some in told for grant in some.grants), now)
        # What a pod that runs already was told is unknown, and with it which tokens it takes.
        return self._applier.has(DEPLOYMENTS, host.key.namespace, child_name(host.key.name), claimant_of(host))

    async def _bring_children(
        self,
        host: Host,
        hops: tuple[Hop, ...],
        endpoint: Endpoint | None,
        runtime: Runtime,
        *,
        delivered: SidecarConfig | None,
        troubles: Troubles,
        closed: bool,
    ) -> None:
        claimant, spec = claimant_of(host), host.spec
        children = []
        if delivered is not None:
            children.append(self._apply_service(host, claimant, runtime))
        if closed or (spec is not None and spec.suspended):
            if self._applier.has(DEPLOYMENTS, host.key.namespace, child_name(host.key.name), claimant):
                self._departures.hurry(host.key, self._probe(host))
            children.append(self._remove(DEPLOYMENTS, host, claimant))
        elif spec is not None and not troubles:
            with troubles.noted():
                # First of all: no pod is to run for a moment without it.
                await self._bring_network_policy(host, network_policy(host, spec, hops, self._settings), claimant)
                children.append(self._apply(deployment(host, spec, hops, self._settings), claimant))
        manifest = None
        if spec is not None and endpoint is not None and not closed:
            taken = self._store.endpoint_winner(host.key) is not None
            manifest = route_manifest(host, spec, endpoint, taken=taken)
        if (closed or spec is not None) if manifest is None else delivered is not None:
            children.append(self._routing.bring(host, manifest, claimant))
        for outcome in await asyncio.gather(*children, return_exceptions=True):
            if isinstance(outcome, BaseException):
                with troubles.noted():
                    raise outcome

    async def _bring_network_policy(self, host: Host, manifest: dict[str, Any] | None, claimant: Claimant) -> None:
        if manifest is not None:
            await self._apply(manifest, claimant)
        else:
            await self._remove(NETWORK_POLICIES, host, claimant)

    async def _apply(self, manifest: dict[str, Any], claimant: Claimant) -> None:
        await self._applier.apply(manifest, claimant)

    async def _remove(self, resource: Resource, host: Host, claimant: Claimant) -> None:
        await self._applier.remove(resource, host.key.namespace, child_name(host.key.name), claimant)

    async def _apply_service(self, host: Host, claimant: Claimant, runtime: Runtime) -> None:
        applied = await self._applier.apply(service(host), claimant)
        if applied is not None:
            runtime.address = applied["spec"]["clusterIP"]

    async def _write_status(
        self, host: Host, endpoint: Endpoint | None, seen: HostObservation, findings: Findings
    ) -> None:
        status = host_status(host, endpoint, seen, findings)
        if not differs(host.status, status):
            return
        try:
            written = await self._objects.apply_status(status_manifest("RemoteHost", host, status))
        except (NotFound, Conflict):
            # Deleted meanwhile, or deleted and created anew: the event about it is on its way.
            return
        self._store.put_host(read_host(written))
        if differs(host.status, status, HOST_KEY_FIELDS):
            self._host_key_changed(host)
        for announcement in announcements(host.status, status):
            logger.info("%s: %s: %s", host.key, announcement.reason, announcement.message)
            await self._events.announce("RemoteHost", host, announcement)
