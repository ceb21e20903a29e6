"""Brings one SSHCertificateAuthority's key, its list of what is revoked and its status to what they should be."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from fairlead_api.authority import SSHCertificateAuthoritySpec
from fairlead_api.conditions import AuthorityReason
from fairlead_operator.cluster.applier import NameTaken
from fairlead_operator.cluster.errors import Conflict, Forbidden, Invalid, NotFound, Terminating
from fairlead_operator.cluster.events import Events
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.issuing import DELIVERY, Authorities, Brought
from fairlead_operator.controllers.store import Store
from fairlead_operator.reconcile import authority as desired
from fairlead_operator.reconcile.authority import AuthorityObservation, Problem
from fairlead_operator.reconcile.host_status import differs
from fairlead_operator.reconcile.ledger import CLOCKS_DIFFER
from fairlead_operator.reconcile.objects import Authority, Host, Key, read_authority, status_manifest

logger = logging.getLogger(__name__)

RETRY_REFUSED = 30.0
PRUNING = 60.0
"""Seconds between two looks at what is over, at least: many certificates end at times of their own."""
_LONGEST_TIMER = 24 * 3600.0


class AuthorityController:
    """Works on certificate authorities, one key at a time."""

    def __init__(
        self,
        store: Store,
        *,
        objects: Objects,
        events: Events,
        authorities: Authorities,
        hosts_changed: Callable[[Iterable[Host]], None],
    ) -> None:
        """Make a controller.

        Args:
            store: All hosts and authorities.
            objects: Writes status.
            events: Writes Events.
            authorities: The authorities' keys and records.
            hosts_changed: Called with the hosts that have to look at their authority anew.
        """
        self._store = store
        self._objects = objects
        self._events = events
        self._authorities = authorities
        self._hosts_changed = hosts_changed
        self._told: dict[Key, object] = {}
        """What hosts were told of last: whatever of an authority concerns them; None: it does not exist."""

    async def reconcile(self, key: Key) -> float | None:
        """Bring one authority to where it should be.

        Returns:
            After how many seconds to look again; None: when something changes.
        """
        authority = self._store.authority(key)
        if authority is None or authority.deleting:
            self._authorities.forget(key)
            self._tell(key, None)
            return None
        if authority.spec is None:
            self._tell(key, authority.invalid)
            await self._write_status(authority, AuthorityObservation(datetime.now(UTC), None, recorded=False))
            return None
        return await self._bring(authority, authority.spec)

    async def _bring(self, authority: Authority, spec: SSHCertificateAuthoritySpec) -> float | None:
        try:
            brought = await self._authorities.bring(authority, spec)
        except Terminating:
            return None
        except NameTaken as error:
            problem = Problem(AuthorityReason.NAME_CONFLICT, str(error))
        except (Invalid, Forbidden, NotFound) as error:
            refused = f"The API server refused the Secret or the ConfigMap: {error.message}"
            problem = Problem(AuthorityReason.APPLY_FAILED, refused)
        else:
            return await self._report(authority, spec, brought)
        self._tell(authority.key, problem)
        seen = AuthorityObservation(datetime.now(UTC), None, problem=problem, recorded=False)
        await self._write_status(authority, seen)
        return RETRY_REFUSED

    async def _report(self, authority: Authority, spec: SSHCertificateAuthoritySpec, brought: Brought) -> float | None:
        now = datetime.now(UTC)
        keys, problem = brought.keys, brought.problem.problem if brought.problem is not None else None
        public = keys.public if keys is not None else None
        self._tell(authority.key, (public, problem, spec.revoked_serials))
        in_force = brought.ledger.in_force(now, spec.revoked_serials or ())
        seen = AuthorityObservation(
            now=now,
            keys=public,
            in_force=in_force,
            revoked=brought.revoked,
            waiting=brought.waiting,
            problem=problem or (keys.problem if keys is not None else None),
        )
        await self._write_status(authority, seen)
        # Those in force end; the others are dropped from the list after their end.
        revoked = (entry for entry in brought.ledger.entries.values() if entry.revoked)
        listed_until = [entry.expires + CLOCKS_DIFFER.total_seconds() for entry in revoked]
        moments = [*(entry.expires for entry in in_force), *listed_until]
        ahead = min((moment - time.time() for moment in moments), default=_LONGEST_TIMER)
        waits = [max(ahead, PRUNING), _LONGEST_TIMER, *([DELIVERY / 4] if brought.undelivered else [])]
        return min(waits)

    def _tell(self, key: Key, news: object) -> None:
        if self._told.get(key) == news:
            return
        self._told[key] = news
        self._hosts_changed(self._store.hosts_with_authority(key))

    async def _write_status(self, authority: Authority, seen: AuthorityObservation) -> None:
        status = desired.authority_status(authority, seen, desired.authority_findings(authority, seen))
        if not differs(authority.status, status, desired.FIELDS):
            return
        try:
            written = await self._objects.apply_status(status_manifest("SSHCertificateAuthority", authority, status))
        except (NotFound, Conflict):
            return
        self._store.put_authority(read_authority(written))
        for announcement in desired.announcements(authority.status, status):
            logger.info("%s: %s: %s", authority.key, announcement.reason, announcement.message)
            await self._events.announce("SSHCertificateAuthority", authority, announcement)
