"""Brings one RemoteHost's children and status to what they should be."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.cluster.applier import Applier, Claimant, NameTaken, StillDeleting
from fairlead_operator.cluster.errors import Conflict, Forbidden, Invalid, NotFound
from fairlead_operator.cluster.events import Events
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import DEPLOYMENTS, INGRESSES
from fairlead_operator.controllers.generated_keys import GeneratedKeys
from fairlead_operator.controllers.runtime import Runtime, Runtimes
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.reconcile.conditions import GRACE, Findings, host_findings, invalid, recheck_in
from fairlead_operator.reconcile.deployment import deployment
from fairlead_operator.reconcile.endpoint import Endpoint, resolve_endpoint
from fairlead_operator.reconcile.host_config import config_secret, sidecar_config
from fairlead_operator.reconcile.host_status import announcements, differs, host_status, status_manifest
from fairlead_operator.reconcile.ingress import ingress
from fairlead_operator.reconcile.labels import HOST_LABEL
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import child_name, credentials_secret_name
from fairlead_operator.reconcile.objects import Host, Key, read_host
from fairlead_operator.reconcile.observed import HostObservation, SidecarView
from fairlead_operator.reconcile.service import service
from fairlead_operator.settings import Settings
from fairlead_sidecar import tokens
from fairlead_sidecar.config import digest

logger = logging.getLogger(__name__)

RETRY_REFUSED = 30.0
"""Seconds after which something that the API server refused is tried again: a quota may have been raised."""
RETRY_DELETING = 1.0


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
        keys: GeneratedKeys,
        runtimes: Runtimes,
        probe_key: bytes,
        loaded: Callable[[Host], None],
    ) -> None:
        """Make a controller.

        Args:
            settings: The operator's settings.
            store: All hosts and tokens.
            objects: Reads and writes.
            applier: Applies children.
            events: Writes Events.
            secrets: Metadata of Secrets.
            keys: Generated keys.
            runtimes: What is known of running sidecars.
            probe_key: From which the operator's own credentials are derived.
            loaded: Called when a sidecar has loaded another configuration.
        """
        self._settings = settings
        self._store = store
        self._objects = objects
        self._applier = applier
        self._events = events
        self._secrets = secrets
        self._keys = keys
        self._runtimes = runtimes
        self._probe_key = probe_key
        self._loaded = loaded

    async def reconcile(self, key: Key) -> float | None:
        """Bring one host to where it should be.

        Returns:
            After how many seconds to look again; None: when something changes.
        """
        host = self._store.host(key)
        if host is None or host.deleting:
            await self._runtimes.drop(key)
            return None
        now = datetime.now(UTC)
        if host.spec is None:
            seen = HostObservation(now=now, view=SidecarView(), secret_exists=False)
            await self._write_status(host, None, seen, invalid(host.invalid))
            return None
        runtime = await self._runtimes.of(host)
        return await self._bring(host, host.spec, resolve_endpoint(key, host.spec, self._settings), runtime)

    async def _bring(self, host: Host, spec: RemoteHostSpec, endpoint: Endpoint, runtime: Runtime) -> float | None:
        again: float | None = None
        name_conflict = apply_error = ""
        public_key = None
        try:
            if spec.auth.generated is not None:
                public_key = await self._keys.obtain(host, spec.auth.generated)
            if not await self._apply_children(host, spec, endpoint, runtime, public_key):
                return None
        except StillDeleting as error:
            if datetime.now(UTC) - host.created < GRACE:
                return RETRY_DELETING
            apply_error, again = str(error), RETRY_DELETING
        except NameTaken as error:
            name_conflict, again = str(error), RETRY_REFUSED
        except (Invalid, Forbidden, NotFound) as error:
            apply_error, again = f"The API server refused an object of this host: {error.message}", RETRY_REFUSED
        seen = HostObservation(
            now=datetime.now(UTC),
            view=runtime.view,
            secret_exists=public_key is not None or self._credentials(host, spec) is not None,
            public_key=public_key,
            name_conflict=name_conflict,
            apply_error=apply_error,
            endpoint_winner=self._store.endpoint_winner(host.key),
        )
        findings = host_findings(host, spec, endpoint, seen)
        await self._write_status(host, endpoint, seen, findings)
        if runtime.take_loaded():
            self._loaded(host)
        return min((wait for wait in (again, recheck_in(seen)) if wait is not None), default=None)

    def _credentials(self, host: Host, spec: RemoteHostSpec) -> Meta | None:
        return self._secrets.get(host.key.namespace, credentials_secret_name(host.key.name, spec))

    async def _apply_children(
        self, host: Host, spec: RemoteHostSpec, endpoint: Endpoint, runtime: Runtime, public_key: str | None
    ) -> bool:
        """Apply what should exist. Returns False where it can't be told yet what that is."""
        grants = self._store.grants_for(host)
        if grants is None:
            return False
        claimant = Claimant("RemoteHost", host.key.name, host.uid, HOST_LABEL)
        probe = tokens.probe_token(self._probe_key, host.uid)
        if public_key is not None:
            version = digest(public_key)
        else:
            meta = self._credentials(host, spec)
            version = f"{meta.uid}/{meta.version}" if meta is not None else ""
        rendered = sidecar_config(
            host, spec, endpoint, grants, credentials_version=version, probe_sha256=tokens.sha256_hex(probe)
        ).render()
        name = child_name(host.key.name)
        # The configuration first: a pod that is told of later starts with it.
        await self._applier.apply(config_secret(host, rendered), claimant)
        runtime.rendered(host.generation, digest(rendered), grants)
        children = [self._apply_service(host, claimant, runtime)]
        if spec.suspended:
            children.append(self._applier.remove(DEPLOYMENTS, host.key.namespace, name, claimant))
        else:
            children.append(self._apply(deployment(host, spec, self._settings), claimant))
        taken = self._store.endpoint_winner(host.key) is not None
        wanted_ingress = ingress(host, spec, endpoint, taken=taken)
        if wanted_ingress is not None:
            children.append(self._apply(wanted_ingress, claimant))
        else:
            children.append(self._applier.remove(INGRESSES, host.key.namespace, name, claimant))
        for outcome in await asyncio.gather(*children, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        if spec.suspended:
            await runtime.stop()
        else:
            self._runtimes.watch(host, endpoint, runtime, probe)
        return True

    async def _apply(self, manifest: dict[str, Any], claimant: Claimant) -> None:
        await self._applier.apply(manifest, claimant)

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
            written = await self._objects.apply_status(status_manifest(host, status))
        except (NotFound, Conflict):
            # Deleted meanwhile, or deleted and created anew: the event about it is on its way.
            return
        self._store.put_host(read_host(written))
        for announcement in announcements(host.status, status):
            logger.info("%s: %s: %s", host.key, announcement.reason, announcement.message)
            await self._events.announce("RemoteHost", host, announcement)
