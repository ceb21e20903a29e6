"""The operator at work: everything between the API server's events and the cluster's objects, wired together."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from fairlead_operator import metrics
from fairlead_operator.cluster.applier import Applier
from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError, NotFound
from fairlead_operator.cluster.events import Events
from fairlead_operator.cluster.metadata import MetadataCache
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import (
    AUTHORITIES,
    CHILDREN,
    CONFIG_MAPS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    MCP_TOKENS,
    OPTIONAL,
    REMOTE_HOSTS,
    SECRETS,
    Resource,
)
from fairlead_operator.controllers.authorities import AuthorityController
from fairlead_operator.controllers.authority_keys import AuthorityKeySecrets
from fairlead_operator.controllers.departures import Departures
from fairlead_operator.controllers.generated_keys import GeneratedKeys
from fairlead_operator.controllers.host_certificates import HostCertificateSecrets
from fairlead_operator.controllers.host_credentials import HostCredentialsKeeper
from fairlead_operator.controllers.host_key_pins import HostKeyPins
from fairlead_operator.controllers.hosts import HostController
from fairlead_operator.controllers.issued import IssuedCertificates
from fairlead_operator.controllers.issuing import Authorities
from fairlead_operator.controllers.ledgers import Ledgers
from fairlead_operator.controllers.minting import Minting
from fairlead_operator.controllers.newest_pods import NewestPods
from fairlead_operator.controllers.routing import Routing
from fairlead_operator.controllers.runtime import Runtimes
from fairlead_operator.controllers.store import Store
from fairlead_operator.controllers.tokens import TokenController
from fairlead_operator.credentials.signing_keys import SigningKeys, SigningKeysUnavailable
from fairlead_operator.credentials.token_secrets import TokenSecrets
from fairlead_operator.handlers.dispatch import Dispatcher, Kind, Work
from fairlead_operator.handlers.kopf_events import operator_registry, operator_settings
from fairlead_operator.handlers.queue import WorkQueue
from fairlead_operator.observe.exposure import ExposureCheck
from fairlead_operator.reconcile.jumps import references
from fairlead_operator.reconcile.labels import HOST_LABEL, MANAGED_SELECTOR, pod_selector, selector_text
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host, Key
from fairlead_operator.reconcile.pods import pod_problem
from fairlead_operator.reconcile.transitions import by_type
from fairlead_operator.settings import Settings

logger = logging.getLogger(__name__)

POKE_ANNOTATION = "fairlead.dev/synced-for"
_RELIST_EVERY = 300.0
_TEND_KEYS_EVERY = 10.0
_RELIST_SOON = 2.0
_CRD_WAIT = 2.0
_KOPF_END = 5.0


class Operator:
    """All parts of a working operator."""

    def __init__(
        self,
        settings: Settings,
        api: Api,
        session: aiohttp.ClientSession,
        *,
        check_exposure: ExposureCheck,
        probe_key: bytes,
        identity: str,
    ) -> None:
        self._settings = settings
        self._api = api
        self._objects = Objects(api)
        self._store = Store(settings)
        self._queue: WorkQueue[Work] = WorkQueue(self._work)
        self._dispatcher = Dispatcher(self._store, self._queue.add)
        self._relist = asyncio.Event()
        self.working = asyncio.Event()
        """Set once everything was listed and the work began."""
        self._caches: dict[Resource, MetadataCache] = {}
        for resource in (*CHILDREN, SECRETS, CONFIG_MAPS):
            changed = partial(self._metadata_changed, resource)
            # Users' Secrets don't carry our label, and their changes count as well.
            selector = None if resource == SECRETS else MANAGED_SELECTOR
            self._caches[resource] = MetadataCache(
                api, resource, settings.watch_namespaces, selector, changed, optional=resource in OPTIONAL
            )
        self._applier = Applier(self._objects, self._caches)
        self._signing_keys = SigningKeys(self._objects, settings.namespace, self._signing_keys_changed)
        self._token_secrets = TokenSecrets(self._objects, self._caches[SECRETS], self._signing_keys)
        self._minting = Minting(settings, self._store, self._token_secrets, self._signing_keys)
        self._issued = IssuedCertificates(
            self._dispatcher.add_authority,
            lambda namespace: [authority.key for authority in self._store.authorities(namespace)],
        )
        secrets = self._caches[SECRETS]
        self._authority_keys = AuthorityKeySecrets(self._objects, secrets)
        authorities = Authorities(
            self._store,
            keys=self._authority_keys,
            ledgers=Ledgers(self._objects, self._applier),
            register=self._issued,
        )
        self._credentials = HostCredentialsKeeper(
            self._store,
            GeneratedKeys(self._objects, secrets),
            HostCertificateSecrets(
                self._objects,
                secrets,
                pods=NewestPods(self._objects, self._caches[DEPLOYMENTS]),
                authorities=authorities,
                register=self._issued,
            ),
        )
        self._host_keys = HostKeyPins(self._objects, secrets, self._store)
        self._runtimes = Runtimes(
            settings,
            session,
            changed=self._dispatcher.add_host,
            check_exposure=check_exposure,
            poke=self._poke,
            pod_problem=self._pod_problem,
        )
        self._departures = Departures(self._objects, session)
        events = Events(api, identity)
        self._hosts = HostController(
            settings,
            self._store,
            objects=self._objects,
            applier=self._applier,
            events=events,
            secrets=self._caches[SECRETS],
            credentials=self._credentials,
            host_keys=self._host_keys,
            routing=Routing(self._objects, self._applier, secrets=secrets, http_routes=self._caches[HTTP_ROUTES]),
            runtimes=self._runtimes,
            probe_key=probe_key,
            signing_keys=self._signing_keys,
            departures=self._departures,
            host_key_changed=self._host_key_changed,
            loaded=self._configuration_loaded,
            used=self._tokens_used,
        )
        self._tokens = TokenController(
            self._store,
            objects=self._objects,
            events=events,
            minting=self._minting,
            runtimes=self._runtimes,
            hosts_changed=self._hosts_changed,
        )
        self._authorities = AuthorityController(
            self._store,
            objects=self._objects,
            events=events,
            authorities=authorities,
            hosts_changed=self._hosts_changed,
        )
        self._reconcile = {
            Kind.HOST: self._hosts.reconcile,
            Kind.TOKEN: self._tokens.reconcile,
            Kind.AUTHORITY: self._authorities.reconcile,
        }

    async def run(self) -> None:
        """Work until cancelled, or until something fails for which starting anew is the remedy."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for cache in self._caches.values():
                    tasks.create_task(cache.run())
                await self._list_all()
                for cache in self._caches.values():
                    await cache.wait_synced()
                # Nothing is rendered before this point: half of the tokens would revoke the other half.
                tasks.create_task(self._queue.run(self._settings.workers))
                tasks.create_task(self._keep_listing())
                tasks.create_task(self._keep_counting())
                tasks.create_task(self._keep_signing_keys())
                tasks.create_task(self._run_kopf())
                # What was deleted between the first listing and kopf's own.
                self._relist.set()
                self.working.set()
                logger.info("working on %s", ", ".join(self._settings.watch_namespaces) or "all namespaces")
        finally:
            await self._departures.close()
            await self._runtimes.close()

    async def _run_kopf(self) -> None:
        """Run kopf in a thread with a loop of its own.

        At its end kopf waits for, and then cancels, every task of its loop that it does not know; and it would take
        the process's signals over.
        """
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        namespaces = self._settings.watch_namespaces
        thread = asyncio.create_task(
            asyncio.to_thread(
                kopf.run,
                registry=operator_registry(self._dispatcher, loop.call_soon_threadsafe, self._relist.set),
                settings=operator_settings(),
                standalone=True,
                # Only peering uses it, but without one kopf asks for the user's name, and a pod's user has none.
                identity=cast("Any", "fairlead"),
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        )
        try:
            await asyncio.shield(thread)
        finally:
            stop.set()
            await asyncio.wait({thread}, timeout=_KOPF_END)
        raise RuntimeError("kopf stopped watching")

    # Listing: what kopf does not tell is which objects vanished while no watch was open

    async def _list_all(self) -> None:
        while True:
            listing = self._dispatcher.begin_listing()
            try:
                objects = {
                    Kind.HOST: await self._list(REMOTE_HOSTS),
                    Kind.TOKEN: await self._list(MCP_TOKENS),
                    Kind.AUTHORITY: await self._list(AUTHORITIES),
                }
            except NotFound:
                logger.warning("the CRDs of fairlead.dev are not installed yet: waiting for them")
            except ApiError as error:
                logger.warning("listing failed, trying again: %s", error)
            else:
                self._dispatcher.listed(listing, objects)
                return
            await asyncio.sleep(_CRD_WAIT)

    async def _list(self, resource: Resource) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for namespace in self._settings.watch_namespaces or (None,):
            found += await self._objects.list_all(resource, namespace)
        return found

    async def _keep_listing(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_RELIST_EVERY):
                    await self._relist.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(_RELIST_SOON)
            self._relist.clear()
            await self._list_all()

    # Work

    async def _work(self, work: Work) -> float | None:
        started = time.perf_counter()
        outcome = "failed"
        try:
            again = await self._reconcile[work.kind](work.key)
            outcome = "ok"
        finally:
            metrics.RECONCILES.labels(work.kind, outcome).inc()
            metrics.RECONCILE_SECONDS.labels(work.kind).observe(time.perf_counter() - started)
        return again

    def _metadata_changed(self, resource: Resource, meta: Meta) -> None:
        gone = self._caches[resource].get(meta.namespace, meta.name) is None
        if gone:
            self._applier.gone(resource, meta)
        if resource == SECRETS:
            if gone:
                self._token_secrets.gone(meta)
                self._credentials.gone(meta)
                self._host_keys.gone(meta)
                self._authority_keys.gone(meta)
            self._dispatcher.secret_changed(meta)
            return
        if resource == DEPLOYMENTS and (host := meta.labels.get(HOST_LABEL)):
            # Its status tells of pods that became ready, or no longer are.
            self._runtimes.expect(Key(meta.namespace, host))
        self._dispatcher.child_changed(meta)

    def _hosts_changed(self, hosts: Iterable[Host]) -> None:
        for host in hosts:
            self._dispatcher.add_host(host.key)

    def _host_key_changed(self, host: Host) -> None:
        """What is trusted of a host counts for those behind it, and what those refuse for a person's decision here."""
        before = {Key(host.key.namespace, name) for name in references(host.spec)} if host.spec is not None else set()
        for key in before | self._store.behind(host.key):
            self._dispatcher.add_host(key)

    def _configuration_loaded(self, host: Host) -> None:
        for token in self._store.tokens(host.key.namespace):
            if any(some.key == host.key for some in self._store.hosts_for(token)):
                self._dispatcher.add_token(token.key)

    def _tokens_used(self, host: Host, uids: frozenset[str]) -> None:
        for token in self._store.tokens(host.key.namespace):
            if token.uid in uids:
                self._dispatcher.add_token(token.key)

    # The keys of JWTs

    def _signing_keys_changed(self) -> None:
        for token in self._store.tokens():
            # Also one whose format is another by now: its former tokens may be JWTs.
            self._dispatcher.add_token(token.key)
        for host in self._store.hosts():
            self._dispatcher.add_host(host.key)

    async def _keep_signing_keys(self) -> None:
        while True:
            await asyncio.sleep(_TEND_KEYS_EVERY)
            if self._signing_keys.present is None:
                continue
            try:
                await self._signing_keys.tend(self._minting.kids_in_use(datetime.now(UTC)))
            except (ApiError, SigningKeysUnavailable) as error:
                logger.warning("looking after the keys of JWTs failed, trying again: %s", error)

    # What observers need of the cluster

    async def _poke(self, key: Key, digest: str) -> None:
        try:
            for pod in await self._objects.pods(key.namespace, selector_text(pod_selector(key.name))):
                if "deletionTimestamp" in pod["metadata"]:
                    continue
                # The time makes every try another value, or the API server would see no change.
                mark = f"{digest[:16]}-{time.time_ns()}"
                await self._objects.annotate_pod(key.namespace, pod["metadata"]["name"], {POKE_ANNOTATION: mark})
                metrics.POKES.inc()
        except ApiError as error:
            logger.warning("the pod of %s could not be told of its new configuration: %s", key, error)

    async def _pod_problem(self, key: Key) -> str:
        try:
            pods = await self._objects.pods(key.namespace, selector_text(pod_selector(key.name)))
            deployment = None
            if not pods:
                deployment = await self._objects.get(DEPLOYMENTS, key.namespace, child_name(key.name))
            return pod_problem(pods, deployment)
        except ApiError as error:
            logger.warning("looking for the pod of %s failed: %s", key, error)
            return ""

    async def _keep_counting(self) -> None:
        while True:
            for gauge, objects in (
                (metrics.HOSTS, self._store.hosts()),
                (metrics.TOKENS, self._store.tokens()),
                (metrics.AUTHORITIES, self._store.authorities()),
            ):
                count = Counter(str(by_type(some.status).get("Ready", {}).get("status", "Unknown")) for some in objects)
                for status in ("True", "False", "Unknown"):
                    gauge.labels(status).set(count[status])
            metrics.count_conditions(host.status for host in self._store.hosts())
            await asyncio.sleep(5)
