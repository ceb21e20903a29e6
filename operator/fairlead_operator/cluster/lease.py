"""Leader election by a Lease: one operator works, the others stand by.

The official client's own election writes local time as UTC and can't hand the Lease over at shutdown, hence this one.
It follows client-go: a holder counts as gone when its record has not changed for the lease's duration by the
*observer's* monotonic clock, so that wrong wall clocks do no harm.
"""

import asyncio
import contextlib
import logging
import random
import time
from datetime import UTC, datetime
from typing import Any

from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError, Conflict, NotFound
from fairlead_operator.cluster.resources import LEASES

logger = logging.getLogger(__name__)

DURATION = 15.0
"""Seconds after which a silent holder counts as gone."""
RENEW_DEADLINE = 10.0
"""Seconds without a successful renewal after which the holder itself gives up."""
RETRY = 2.0
"""Seconds between two tries."""


class LeaseLost(Exception):
    """The Lease could not be renewed in time, or somebody else has it."""


class Lease:
    """One candidate's view of the Lease."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str) -> None:
        self._api = api
        self._path = LEASES.path(namespace, name)
        self._collection = LEASES.path(namespace)
        self._name = name
        self._identity = identity
        self._seen: tuple[Any, ...] | None = None
        self._seen_at = 0.0

    async def acquire(self) -> None:
        """Return once this candidate holds the Lease."""
        waiting = False
        while True:
            try:
                if await self._try(asking=True):
                    logger.info("holding the Lease as %s", self._identity)
                    return
                if not waiting:
                    logger.info("standing by: another operator holds the Lease")
                    waiting = True
            except ApiError as error:
                logger.warning("asking for the Lease failed: %s", error)
            await asyncio.sleep(RETRY * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret

    async def hold(self) -> None:
        """Renew until cancelled.

        Raises:
            LeaseLost: It is no longer held.
        """
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(RETRY)
            try:
                remaining = RENEW_DEADLINE - (time.monotonic() - renewed)
                async with asyncio.timeout(max(remaining, 0.1)):
                    if not await self._try(asking=False):
                        raise LeaseLost("another operator holds the Lease")
                renewed = time.monotonic()
            except (ApiError, TimeoutError) as error:
                if time.monotonic() - renewed >= RENEW_DEADLINE:
                    raise LeaseLost(f"the Lease could not be renewed for {RENEW_DEADLINE:.0f} s") from error
                logger.warning("renewing the Lease failed: %r", error)

    async def release(self) -> None:
        """Let the next candidate in at once; best effort."""
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(3):
                lease = await self._api.request("GET", self._path)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                    await self._api.request("PUT", self._path, body=lease)

    async def _try(self, *, asking: bool) -> bool:
        try:
            lease = await self._api.request("GET", self._path)
        except NotFound:
            return await self._create()
        spec = lease.setdefault("spec", {})
        holder = spec.get("holderIdentity") or ""
        if holder not in {"", self._identity}:
            if not asking or not self._expired(spec):
                return False
        elif not asking and holder != self._identity:
            return False
        if holder != self._identity:
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + 1
            spec["acquireTime"] = _now()
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION), "renewTime": _now()}
        try:
            # resourceVersion is sent back: of two candidates one gets a conflict.
            await self._api.request("PUT", self._path, body=lease)
        except Conflict:
            return False
        return True

    def _expired(self, spec: dict[str, Any]) -> bool:
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        now = time.monotonic()
        if record != self._seen:
            self._seen, self._seen_at = record, now
        return now - self._seen_at >= float(spec.get("leaseDurationSeconds", DURATION))

    async def _create(self) -> bool:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(DURATION),
                "acquireTime": _now(),
                "renewTime": _now(),
                "leaseTransitions": 0,
            },
        }
        try:
            await self._api.request("POST", self._collection, body=body)
        except Conflict:
            return False
        return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
