"""Brings one McpToken's Secret, its hosts' knowledge of it and its status to what they should be."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from fairlead_api.conditions import TokenCondition
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.meta import ConditionStatus
from fairlead_operator.cluster.applier import Claimant, NameTaken, StillDeleting
from fairlead_operator.cluster.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Terminating
from fairlead_operator.cluster.events import Events
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.runtime import Runtimes
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials.owned import NotWritten, OwnedSecrets, Wanted
from fairlead_operator.reconcile import token as desired
from fairlead_operator.reconcile.host_status import differs
from fairlead_operator.reconcile.labels import TOKEN_LABEL
from fairlead_operator.reconcile.names import token_secret_name
from fairlead_operator.reconcile.objects import Host, Key, Token, expiration, read_token
from fairlead_operator.reconcile.observed import GRACE
from fairlead_operator.reconcile.transitions import by_type
from fairlead_sidecar import tokens
from fairlead_sidecar.config import TokenGrant

logger = logging.getLogger(__name__)

RETRY_REFUSED = 30.0
RETRY_DELETING = 1.0
_LONGEST_TIMER = 24 * 3600.0


class TokenController:
    """Works on tokens, one key at a time."""

    def __init__(
        self,
        store: Store,
        *,
        objects: Objects,
        events: Events,
        secrets: OwnedSecrets[desired.Minted],
        runtimes: Runtimes,
        hosts_changed: Callable[[Iterable[Host]], None],
    ) -> None:
        """Make a controller.

        Args:
            store: All hosts and tokens.
            objects: Reads and writes.
            events: Writes Events.
            secrets: The tokens in their Secrets.
            runtimes: What is known of running sidecars.
            hosts_changed: Called with the hosts whose configuration has to be rendered anew.
        """
        self._store = store
        self._objects = objects
        self._events = events
        self._secrets = secrets
        self._runtimes = runtimes
        self._hosts_changed = hosts_changed

    async def reconcile(self, key: Key) -> float | None:
        """Bring one token to where it should be.

        Returns:
            After how many seconds to look again; None: when something changes.
        """
        token = self._store.token(key)
        if token is None:
            return None
        if token.deleting or token.spec is None:
            self._settle(token, None)
            if not token.deleting:
                await self._write_status(token, self._observe(token, None, None))
            return None
        return await self._bring(token, token.spec)

    async def _bring(self, token: Token, spec: McpTokenSpec) -> float | None:
        again: float | None = None
        minted: desired.Minted | None = None
        name_conflict = apply_error = ""
        failed: ApiError | None = None
        if spec.suspended:
            # At once, whatever may be wrong with the Secret.
            self._settle(token, None)
        try:
            minted = await self._mint(token, spec)
        except StillDeleting as error:
            # The Secret of an earlier token of this name: what it holds must not come to life again.
            self._settle(token, None)
            if datetime.now(UTC) - token.created < GRACE:
                return RETRY_DELETING
            apply_error, again = str(error), RETRY_DELETING
        except NameTaken as error:
            name_conflict, again = str(error), RETRY_REFUSED
        except NotWritten as failure:
            # What the Secret holds already stays a token; a new one that nobody can read never becomes one.
            minted, failed = failure.value, failure.cause
        except (Invalid, Forbidden, NotFound) as error:
            failed = error
        except ApiError:
            self._keep_known(token, spec)
            raise
        grant = desired.grant(token, spec, minted) if minted is not None else None
        self._settle(token, grant)
        if isinstance(failed, Terminating):
            return None
        if isinstance(failed, (Invalid, Forbidden, NotFound)):
            apply_error, again = f"The API server refused the Secret: {failed.message}", RETRY_REFUSED
        elif failed is not None:
            raise failed
        seen = self._observe(token, minted, grant, name_conflict=name_conflict, apply_error=apply_error)
        await self._write_status(token, seen)
        remaining = (expiration(token.created, spec) - seen.now).total_seconds()
        if remaining > 0:
            again = min(again or _LONGEST_TIMER, remaining + 0.05)
        return again

    def _settle(self, token: Token, grant: TokenGrant | None) -> None:
        if self._store.settle(token, grant):
            concerned = {host.key: host for host in self._store.hosts_for(token)}
            for host in self._store.hosts(token.key.namespace):
                runtime = self._runtimes.get(host.key)
                if runtime is not None and runtime.has_grant(token.uid):
                    concerned[host.key] = host
            self._hosts_changed(concerned.values())

    def _keep_known(self, token: Token, spec: McpTokenSpec) -> None:
        """The Secret can't be looked at: it counts as it was, with what the object says of it now."""
        if (known := self._store.grant(token)) is not None and known.secret_sha256 is not None:
            self._settle(token, desired.grant(token, spec, desired.Minted(known.id, known.secret_sha256)))

    async def _mint(self, token: Token, spec: McpTokenSpec) -> desired.Minted:
        async def make() -> str:
            return tokens.mint()

        wanted = Wanted(
            claimant=Claimant("McpToken", token.key.name, token.uid, TOKEN_LABEL),
            key=desired.TOKEN_KEY,
            read=_read,
            make=make,
            manifest=partial(desired.token_secret, token, spec),
        )
        return await self._secrets.obtain(token.key.namespace, token_secret_name(token.key.name, spec), wanted)

    def _observe(
        self,
        token: Token,
        minted: desired.Minted | None,
        grant: TokenGrant | None,
        *,
        name_conflict: str = "",
        apply_error: str = "",
    ) -> desired.TokenObservation:
        hosts = self._store.hosts_for(token)
        settled = _was_ready(token, minted)
        return desired.TokenObservation(
            now=datetime.now(UTC),
            minted=minted,
            hosts=tuple(host.key.name for host in hosts),
            waiting=tuple(
                host.key.name for host in hosts if grant is not None and self._waits(host, grant, settled=settled)
            ),
            name_conflict=name_conflict,
            apply_error=apply_error,
        )

    def _waits(self, host: Host, grant: TokenGrant, *, settled: bool) -> bool:
        """Whether a host's sidecar has yet to load the token; one that can't be asked is taken at its former word."""
        if host.spec is None or host.spec.suspended:
            return False
        runtime = self._runtimes.get(host.key)
        loaded = runtime.loaded_grants() if runtime is not None else None
        return grant not in loaded if loaded is not None else not settled

    async def _write_status(self, token: Token, seen: desired.TokenObservation) -> None:
        status = desired.token_status(token, seen, desired.token_findings(token, seen))
        if not differs(token.status, status, desired.FIELDS):
            return
        try:
            written = await self._objects.apply_status(desired.status_manifest(token, status))
        except (NotFound, Conflict):
            return
        self._store.put_token(read_token(written))
        for announcement in desired.announcements(token.status, status):
            logger.info("%s: %s: %s", token.key, announcement.reason, announcement.message)
            await self._events.announce("McpToken", token, announcement)


def _read(text: str) -> desired.Minted | None:
    parsed = tokens.parse(text)
    if parsed is None or parsed.is_probe:
        return None
    return desired.Minted(parsed.id, tokens.sha256_hex(text))


def _was_ready(token: Token, minted: desired.Minted | None) -> bool:
    ready = by_type(token.status).get(TokenCondition.READY, {})
    return (
        minted is not None
        and ready.get("status") == ConditionStatus.TRUE
        and ready.get("observedGeneration") == token.generation
        and token.status.get("tokenID") == minted.id
    )
