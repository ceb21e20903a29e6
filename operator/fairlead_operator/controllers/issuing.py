"""Certificates for hosts: who can sign, signing, and what was signed on record before anybody gets it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fairlead_api.authority import SSHCertificateAuthoritySpec
from fairlead_api.conditions import HostReason
from fairlead_operator import metrics
from fairlead_operator.cluster.applier import NameTaken
from fairlead_operator.cluster.errors import Forbidden, Invalid, NotFound
from fairlead_operator.controllers.authority_keys import AuthorityKeys, AuthorityKeySecrets, NoKeys
from fairlead_operator.controllers.issued import IssuedCertificates
from fairlead_operator.controllers.ledgers import Ledgers
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials.certificates import CertificateRequest, sign
from fairlead_operator.reconcile.authority import Publication, publication
from fairlead_operator.reconcile.ledger import Entry, Ledger
from fairlead_operator.reconcile.objects import Authority, Host, Key

DELIVERY = 60.0
"""Seconds in which a new certificate has to be in its host's Secret; after that nobody ever gets it."""

MOST_BYTES = 1_000_000
"""Of the record with the list, were all of it revoked: a ConfigMap holds 1 MiB, and a revocation must always fit."""
_FULL = (
    "its record in the ConfigMap is full (1 MiB). There is room again as certificates end: give hosts a longer"
    " validity, rotate them less often, or let several authorities sign."
)


class AuthorityUnavailable(Exception):
    """An authority can't sign, and will not by itself; `reason` and `message` are for the host's CredentialsReady."""

    def __init__(self, reason: HostReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Signers:
    """An authority's keys, by their fingerprints (`SHA256:…`)."""

    active: str
    next: str | None
    """While a rotation is under way: the key that is to follow."""
    revoked: frozenset[int] = frozenset()
    """Serials that the key revocation list refuses: whoever holds such a certificate needs another one."""


@dataclass(frozen=True)
class Issued:
    """A new certificate."""

    certificate: str
    """OpenSSH's one-line format."""
    serial: int
    expires: datetime
    authority: str
    """The fingerprint of the key that signed it."""


@dataclass(frozen=True)
class Brought:
    """Where an authority stands after it was worked on."""

    keys: AuthorityKeys | None
    problem: NoKeys | None
    """Why there are no keys."""
    ledger: Ledger
    revoked: frozenset[int]
    waiting: tuple[str, ...]
    """During a rotation: the hosts that have not accepted the next key yet."""
    undelivered: bool
    """Whether certificates are on their way to their hosts."""


class Authorities:
    """All authorities: their keys and their records, each worked on by one task at a time."""

    def __init__(
        self, store: Store, *, keys: AuthorityKeySecrets, ledgers: Ledgers, register: IssuedCertificates
    ) -> None:
        """Make it.

        Args:
            store: All hosts and authorities.
            keys: The authorities' keys.
            ledgers: The authorities' records.
            register: Which host holds which certificates.
        """
        self._store = store
        self._keys = keys
        self._ledgers = ledgers
        self._register = register
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._on_the_way: dict[int, float] = {}
        """Serial -> until when it may still be delivered (monotonic)."""

    # For hosts

    async def signers(self, key: Key) -> Signers:
        """The keys of an authority.

        Raises:
            AuthorityUnavailable: It does not exist, or has no key that can be used.
            ApiError: The API server did not tell.
        """
        authority, spec = self._find(key)
        with _explained(key):
            async with self._locks[key]:
                ledger = await self._ledgers.of(authority)
                keys = await self._keys.obtain(authority, spec, had_one=ledger.generated)
        following = keys.following.fingerprint if keys.following is not None else None
        revoked = {serial for serial, entry in ledger.entries.items() if entry.revoked}
        return Signers(keys.active.fingerprint, following, frozenset(revoked.union(spec.revoked_serials or ())))

    async def issue(self, key: Key, signer: str, host: Host, request: CertificateRequest) -> Issued:
        """Sign. The serial is on record before this returns, so that the certificate can be revoked whatever happens.

        Args:
            key: The authority.
            signer: The fingerprint of the one of its keys that is to sign.
            host: For whom.
            request: What the certificate is to say.

        Raises:
            AuthorityUnavailable: The authority can't sign, or has no such key (any more).
            ApiError: The serial could not be put on record.
        """
        authority, spec = self._find(key)
        with _explained(key):
            async with self._locks[key]:
                ledger = await self._ledgers.of(authority)
                keys = await self._keys.obtain(authority, spec, had_one=ledger.generated)
                chosen = keys.signer(signer)
                if chosen is None:
                    message = f"The SSHCertificateAuthority {key.name!r} has replaced the key {signer} meanwhile."
                    raise AuthorityUnavailable(HostReason.AUTHORITY_NOT_READY, message)
                now = datetime.now(UTC).replace(microsecond=0)
                serial, expires = ledger.next_serial(now), now + request.validity
                entry = Entry(serial, host.key.name, host.uid, int(expires.timestamp()), chosen.fingerprint)
                published = _published(authority, spec, ledger.signed(entry, chosen.public_key), keys)
                if published.size > MOST_BYTES:
                    raise _cannot_sign(key, _FULL)
                self._on_the_way[serial] = time.monotonic() + DELIVERY
                await self._ledgers.write(authority, published)
        certificate = await asyncio.to_thread(sign, chosen, request, serial=serial, now=now)
        metrics.CERTIFICATES.inc()
        return Issued(certificate, serial, expires, chosen.fingerprint)

    def _find(self, key: Key) -> tuple[Authority, SSHCertificateAuthoritySpec]:
        authority = self._store.authority(key)
        if authority is None or authority.deleting:
            raise AuthorityUnavailable(
                HostReason.AUTHORITY_NOT_FOUND,
                f"The SSHCertificateAuthority {key.name!r} does not exist in this namespace: create it, or name another"
                " in spec.auth.certificate.authorityRef.",
            )
        if authority.spec is None:
            raise _cannot_sign(key, f"the operator can't read it: {authority.invalid}.")
        return authority, authority.spec

    # For the authorities' controller

    def forget(self, key: Key) -> None:
        """An authority was deleted."""
        self._keys.forget(key)
        self._ledgers.forget(key)

    async def bring(self, authority: Authority, spec: SSHCertificateAuthoritySpec) -> Brought:
        """Generate, rotate, revoke, publish: whatever is due.

        Raises:
            NameTaken: A Secret or a ConfigMap of a name that is needed is somebody else's.
            ApiError: The API server refused something, or did not tell.
        """
        async with self._locks[authority.key]:
            ledger = await self._ledgers.of(authority)
            keys: AuthorityKeys | None = None
            problem: NoKeys | None = None
            try:
                keys = await self._keys.obtain(authority, spec, had_one=ledger.generated)
                waiting = self._waiting(authority.key, keys)
                if keys.following is not None and not waiting:
                    accepted = keys.following.fingerprint
                    keys = await self._keys.obtain(authority, spec, had_one=True, accepted=accepted)
            except NoKeys as error:
                problem, waiting = error, ()
            now = datetime.now(UTC)
            ledger = ledger.pruned(now)
            ledger = ledger.revoked(ledger.lapsed(lambda entry: self._held(authority.key, entry)))
            published = _published(authority, spec, ledger, keys)
            await self._ledgers.write(authority, published)
            self._on_the_way = {some: until for some, until in self._on_the_way.items() if until > time.monotonic()}
            undelivered = any(
                entry.serial in self._on_the_way for entry in ledger.entries.values() if not entry.revoked
            )
            return Brought(keys, problem, published.ledger, published.revoked, waiting, undelivered)

    def _waiting(self, key: Key, keys: AuthorityKeys) -> tuple[str, ...]:
        """The hosts that have not accepted the next key yet. Who holds no certificate at all, need not."""
        if keys.following is None:
            return ()
        hosts = self._store.hosts_with_authority(key)
        known = {host.key.name: self._register.get(host.key) for host in hosts}
        accepted = keys.following.fingerprint
        return tuple(
            name for name, some in known.items() if some is None or (some.issued and some.accepted != accepted)
        )

    def _held(self, key: Key, entry: Entry) -> bool | None:
        """Whether a certificate's host has it (still); None: nobody can tell at present."""
        host = self._store.host(Key(key.namespace, entry.host))
        if host is None or host.deleting or entry.uid not in ("", host.uid):
            return False
        if (spec := host.spec) is not None and (spec.auth.certificate is None or not self._store.logs_in(host, spec)):
            # Also where the Secret can't be emptied at present.
            return False
        known = self._register.get(host.key)
        if known is None or known.uid != host.uid:
            return None
        if any(some.serial == entry.serial for some in known.issued):
            self._on_the_way.pop(entry.serial, None)
            return True
        return None if self._on_the_way.get(entry.serial, 0.0) > time.monotonic() else False


def _published(
    authority: Authority, spec: SSHCertificateAuthoritySpec, ledger: Ledger, keys: AuthorityKeys | None
) -> Publication:
    signers = [keys.active, keys.following] if keys is not None else []
    return publication(
        authority,
        ledger,
        datetime.now(UTC),
        current=[some.public_key for some in signers if some is not None],
        former=keys.former if keys is not None else (),
        generated=keys is not None and spec.secret is None,
        also_revoked=spec.revoked_serials or (),
    )


@contextmanager
def _explained(key: Key) -> Iterator[None]:
    """What keeps an authority from signing, in words for its hosts."""
    try:
        yield
    except NoKeys as error:
        raise _cannot_sign(key, error.problem.message) from None
    except NameTaken as error:
        raise _cannot_sign(key, str(error)) from None
    except (Invalid, Forbidden, NotFound) as error:
        raise _cannot_sign(key, f"the API server refused its Secret or ConfigMap: {error.message}") from error


def _cannot_sign(key: Key, why: str) -> AuthorityUnavailable:
    message = f"The SSHCertificateAuthority {key.name!r} can't sign: {why}"
    return AuthorityUnavailable(HostReason.AUTHORITY_NOT_READY, message)
