"""Brings one McpToken's Secret, its hosts' knowledge of it and its status to what they should be."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fairlead_api.conditions import TokenCondition, TokenReason
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.meta import ConditionStatus
from fairlead_operator.cluster.applier import NameTaken, StillDeleting
from fairlead_operator.cluster.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Terminating
from fairlead_operator.cluster.events import Events
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.minting import Coming, Minting, TooLarge
from fairlead_operator.controllers.runtime import Runtimes
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials.owned import NotWritten
from fairlead_operator.credentials.signing_keys import SigningKeysUnavailable
from fairlead_operator.reconcile import token as desired
from fairlead_operator.reconcile.host_status import differs
from fairlead_operator.reconcile.objects import Host, Key, Token, expiration, read_token, status_manifest
from fairlead_operator.reconcile.observed import GRACE
from fairlead_operator.reconcile.token_rotation import Minted, wake
from fairlead_operator.reconcile.transitions import by_type
from fairlead_sidecar.config import TokenGrant

logger = logging.getLogger(__name__)

RETRY_REFUSED = 30.0
RETRY_DELETING = 1.0
_LONGEST_TIMER = 24 * 3600.0
_LATE = 0.05
"""Seconds by which a timer fires after its moment, so that the moment is over."""


@dataclass
class _Troubles:
    """What stands in the way of one token."""

    name_conflict: str = ""
    apply_error: str = ""
    keys_error: str = ""
    too_many_hosts: str = ""
    retry: float | None = None
    failed: ApiError | None = None


class TokenController:
    """Works on tokens, one key at a time."""

    def __init__(
        self,
        store: Store,
        *,
        objects: Objects,
        events: Events,
        minting: Minting,
        runtimes: Runtimes,
        hosts_changed: Callable[[Iterable[Host]], None],
    ) -> None:
        """Make a controller.

        Args:
            store: All hosts and tokens.
            objects: Reads and writes.
            events: Writes Events.
            minting: The tokens in their Secrets.
            runtimes: What is known of running sidecars.
            hosts_changed: Called with the hosts whose configuration has to be rendered anew.
        """
        self._store = store
        self._objects = objects
        self._events = events
        self._minting = minting
        self._runtimes = runtimes
        self._hosts_changed = hosts_changed

    async def reconcile(self, key: Key) -> float | None:
        """Bring one token to where it should be.

        Returns:
            After how many seconds to look again; None: when something changes.
        """
        token = self._store.token(key)
        if token is None:
            self._minting.forget(key)
            return None
        if token.deleting or token.spec is None:
            self._settle(token, ())
            if not token.deleting:
                await self._write_status(token, self._observe(token, None, _Troubles()))
            return None
        return await self._bring(token, token.spec)

    async def _bring(self, token: Token, spec: McpTokenSpec) -> float | None:
        if spec.suspended:
            # At once, whatever may be wrong with the Secret.
            self._settle(token, ())
        troubles = _Troubles()
        try:
            minted = await self._obtain(token, spec, troubles)
        except StillDeleting as error:
            # The Secret of an earlier token of this name: what it holds must not come to life again.
            self._settle(token, ())
            if datetime.now(UTC) - token.created < GRACE:
                return RETRY_DELETING
            minted, troubles.apply_error, troubles.retry = None, str(error), RETRY_DELETING
        except ApiError:
            # The Secret can't be looked at: it counts as it was, with what the object says of it now.
            if (known := self._minting.known(token, spec)) is not None:
                self._tell(token, spec, known)
            raise
        self._tell(token, spec, minted)
        match troubles.failed:
            case Terminating():
                return None
            case Invalid() | Forbidden() | NotFound():
                troubles.apply_error = f"The API server refused the Secret: {troubles.failed.message}"
                troubles.retry = RETRY_REFUSED
            case ApiError():
                raise troubles.failed
        return await self._report(token, spec, minted, troubles)

    async def _obtain(self, token: Token, spec: McpTokenSpec, troubles: _Troubles) -> Minted | None:
        """What the Secret holds, once everything was tried to bring it to what it should hold."""
        minted: Minted | None = None
        try:
            minted = await self._minting.present(token, spec)
            coming = await self._minting.coming(token, spec, minted, datetime.now(UTC))
            if coming is not None:
                minted = await self._follow(token, spec, minted, coming, troubles)
        except NameTaken as error:
            troubles.name_conflict, troubles.retry = str(error), RETRY_REFUSED
        except TooLarge as error:
            troubles.too_many_hosts = str(error)
        except SigningKeysUnavailable as error:
            minted = minted or self._minting.known(token, spec)
            troubles.keys_error, troubles.retry = str(error), RETRY_REFUSED
        except NotWritten as failure:
            # What the Secret holds already stays a token; a new one that nobody can read never becomes one.
            minted, troubles.failed = failure.value, failure.cause
        except (Invalid, Forbidden, NotFound) as error:
            troubles.failed = error
        return minted

    async def _follow(
        self, token: Token, spec: McpTokenSpec, minted: Minted | None, coming: Coming, troubles: _Troubles
    ) -> Minted:
        """Let the coming token take its place, once hosts know it: who reads it in the Secret can use it at once."""
        if minted is not None and not spec.suspended:
            self._tell(token, spec, minted)
            wait = (coming.deadline - datetime.now(UTC)).total_seconds()
            if wait > 0 and self._unknown_to_some(token, desired.grants(token, spec, coming.made, coming.since)[0]):
                troubles.retry = wait
                return minted
        return await self._minting.put(token, spec, minted, coming, datetime.now(UTC))

    def _tell(self, token: Token, spec: McpTokenSpec, minted: Minted | None) -> None:
        """Settle what sidecars are told. A token that nobody can read yet goes along with one that works."""
        told: tuple[TokenGrant, ...] = ()
        if minted is not None:
            told = desired.grants(token, spec, minted, datetime.now(UTC), self._minting.made(token))
        self._settle(token, told)

    def _settle(self, token: Token, grants: tuple[TokenGrant, ...]) -> None:
        if self._store.settle(token, grants):
            concerned = {host.key: host for host in self._store.hosts_for(token)}
            for host in self._store.hosts(token.key.namespace):
                runtime = self._runtimes.get(host.key)
                if runtime is not None and runtime.has_grant(token.uid):
                    concerned[host.key] = host
            self._hosts_changed(concerned.values())

    async def _report(
        self, token: Token, spec: McpTokenSpec, minted: Minted | None, troubles: _Troubles
    ) -> float | None:
        """Write what was found. Returns after how many seconds to look again."""
        seen = self._observe(token, minted, troubles)
        if expiration(token.created, spec) <= seen.now and not _said_expired(token):
            # It gives way to others where there is no room for all.
            self._hosts_changed(self._store.hosts_for(token))
        await self._write_status(token, seen)
        moment = wake(token, spec, minted, seen.now)
        until = None if moment is None else min((moment - seen.now).total_seconds() + _LATE, _LONGEST_TIMER)
        return min((wait for wait in (until, troubles.retry) if wait is not None), default=None)

    def _observe(self, token: Token, minted: Minted | None, troubles: _Troubles) -> desired.TokenObservation:
        now = datetime.now(UTC)
        hosts = self._store.hosts_for(token)
        full = [host for host in hosts if not self._store.has_room(host, token)]
        waiting: list[Host] = []
        if minted is not None and token.spec is not None:
            settled = _was_ready(token, minted)
            told = desired.grants(token, token.spec, minted, now)[:1]
            waiting = [host for host in hosts if told and self._waits(host, token, told[0], settled=settled)]
        used = (self._runtimes.last_used(host.key, token.uid) for host in self._store.hosts(token.key.namespace))
        return desired.TokenObservation(
            now=now,
            minted=minted,
            hosts=tuple(host.key.name for host in hosts),
            waiting=tuple(host.key.name for host in waiting),
            full=tuple(host.key.name for host in full),
            last_used=max((hour for hour in used if hour is not None), default=None),
            name_conflict=troubles.name_conflict,
            apply_error=troubles.apply_error,
            keys_error=troubles.keys_error,
            too_many_hosts=troubles.too_many_hosts,
        )

    def _unknown_to_some(self, token: Token, grant: TokenGrant) -> bool:
        return any(self._waits(host, token, grant, settled=False) for host in self._store.hosts_for(token))

    def _waits(self, host: Host, token: Token, grant: TokenGrant, *, settled: bool) -> bool:
        """Whether a host's sidecar has yet to load the token; one that can't be asked is taken at its former word."""
        if host.spec is None or host.spec.suspended or not self._store.has_room(host, token):
            return False
        runtime = self._runtimes.get(host.key)
        loaded = runtime.loaded_grants() if runtime is not None else None
        return grant not in loaded if loaded is not None else not settled

    async def _write_status(self, token: Token, seen: desired.TokenObservation) -> None:
        status = desired.token_status(token, seen, desired.token_findings(token, seen))
        if not differs(token.status, status, desired.FIELDS):
            return
        try:
            written = await self._objects.apply_status(status_manifest("McpToken", token, status))
        except (NotFound, Conflict):
            return
        self._store.put_token(read_token(written))
        for announcement in desired.announcements(token.status, status, seen.minted):
            logger.info("%s: %s: %s", token.key, announcement.reason, announcement.message)
            await self._events.announce("McpToken", token, announcement)


def _said_expired(token: Token) -> bool:
    return by_type(token.status).get(TokenCondition.READY, {}).get("reason") == TokenReason.EXPIRED


def _was_ready(token: Token, minted: Minted | None) -> bool:
    ready = by_type(token.status).get(TokenCondition.READY, {})
    return (
        minted is not None
        and ready.get("status") == ConditionStatus.TRUE
        and ready.get("observedGeneration") == token.generation
        and token.status.get("tokenID") == minted.id
    )
