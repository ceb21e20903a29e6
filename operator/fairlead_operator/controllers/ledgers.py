"""The records of what authorities have signed, kept in the ConfigMaps that publish their key revocation lists."""

import logging
from datetime import UTC, datetime, timedelta

from fairlead_operator.cluster.applier import Applier, Claimant
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import CONFIG_MAPS
from fairlead_operator.reconcile.authority import LEDGER_KEY, Publication
from fairlead_operator.reconcile.labels import AUTHORITY_LABEL
from fairlead_operator.reconcile.ledger import Ledger
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import revocation_list_name
from fairlead_operator.reconcile.objects import Authority, Key

logger = logging.getLogger(__name__)

LONGEST_VALIDITY = timedelta(hours=24)
"""How long a certificate may be good for."""


class Ledgers:
    """Reads each record once, and writes it whenever it changed."""

    def __init__(self, objects: Objects, applier: Applier) -> None:
        self._objects = objects
        self._applier = applier
        self._records: dict[Key, tuple[str, Ledger]] = {}
        """With the UID of the authority."""

    def forget(self, key: Key) -> None:
        """Forget the record of an authority that was deleted; its ConfigMap stays."""
        self._records.pop(key, None)

    async def of(self, authority: Authority) -> Ledger:
        """The record of an authority.

        Raises:
            NameTaken: The ConfigMap is somebody else's.
            ApiError: The API server did not tell.
        """
        uid, known = self._records.get(authority.key, ("", Ledger()))
        if uid == authority.uid:
            return known
        name = revocation_list_name(authority.key.name)
        found = await self._objects.get(CONFIG_MAPS, authority.key.namespace, name)
        if found is None:
            ledger = Ledger.recovered(authority.status, datetime.now(UTC), LONGEST_VALIDITY)
        else:
            _claimant(authority).check(CONFIG_MAPS, Meta.of(found))
            try:
                ledger = Ledger.parse((found.get("data") or {}).get(LEDGER_KEY, ""))
            except ValueError:
                logger.warning(
                    "%s: the ConfigMap %r holds no record of certificates: status counts", authority.key, name
                )
                ledger = Ledger.recovered(authority.status, datetime.now(UTC), LONGEST_VALIDITY)
        self._records[authority.key] = (authority.uid, ledger)
        return ledger

    async def write(self, authority: Authority, publication: Publication) -> None:
        """Make this the record, and publish the list that follows from it.

        Raises:
            NameTaken: The ConfigMap is somebody else's.
            ApiError: The API server refused it; the record is the former one.
        """
        await self._applier.apply(publication.manifest, _claimant(authority))
        self._records[authority.key] = (authority.uid, publication.ledger)


def _claimant(authority: Authority) -> Claimant:
    return Claimant("SSHCertificateAuthority", authority.key.name, authority.uid, AUTHORITY_LABEL)
