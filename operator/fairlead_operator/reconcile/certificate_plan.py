"""Which of a host's certificates are due: at half of their time, with other terms, or from another authority."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

EARLIEST = 0.4
"""The part of its time after which the first certificates are renewed."""
LATEST = 0.5
"""The part of its time after which every certificate is renewed, so that at least half is left when nobody renews."""


@dataclass(frozen=True)
class Terms:
    """What a certificate says."""

    key_id: str
    principals: frozenset[str]
    validity: timedelta
    source_addresses: frozenset[str] = frozenset()
    port_forwarding: bool = False


@dataclass(frozen=True)
class HeldCertificate:
    """A certificate in a Secret, with the key that belongs to it."""

    serial: int
    authority: str
    """`SHA256:…` of the key that signed it."""
    key_fingerprint: str
    """`SHA256:…` of the key that it certifies."""
    terms: Terms
    expires: datetime

    @property
    def renewal(self) -> datetime:
        """When it is to be renewed: spread over hosts, and the same after every restart."""
        spread = int.from_bytes(hashlib.sha256(str(self.serial).encode()).digest()[:4]) / 2**32
        used = EARLIEST + (LATEST - EARLIEST) * spread
        return self.expires - self.terms.validity * (1 - used)

    def due(self, wanted: "Wanted", authority: str, now: datetime) -> bool:
        """Whether another one, signed by this key of the authority, has to take its place."""
        other = self.terms != wanted.terms or self.authority != authority
        return other or self.serial in wanted.revoked or now >= self.renewal


@dataclass(frozen=True)
class Wanted:
    """What a host's certificates should be."""

    terms: Terms
    active: str
    """The authority's key that signs: `SHA256:…`."""
    following: str | None
    """The key that will take its place; None: the authority isn't being rotated."""
    request: str
    """The value of the annotation that asks for new credentials; empty: there is none."""
    revoked: frozenset[int] = frozenset()
    """Serials that hosts may refuse by now."""


@dataclass(frozen=True)
class Present:
    """What there is."""

    current: HeldCertificate | None = None
    following: HeldCertificate | None = None
    """Signed by the authority's next key."""
    request: str = ""
    """The value of the annotation that was acted upon last."""


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    promote: bool = False
    """The following certificate takes the current one's place: its signer is the active one by now."""
    renew: bool = False
    """A new current certificate is needed."""
    renew_following: bool = False
    drop_following: bool = False
    revoke: bool = False
    """Somebody asked for new credentials: what was issued before must not be good any longer."""

    @property
    def idle(self) -> bool:
        """Whether all is as it should be."""
        return self == Plan()


def plan(present: Present, wanted: Wanted, now: datetime) -> Plan:
    """What a host's certificates need now."""
    issued = present.current is not None or present.following is not None
    revoke = issued and wanted.request not in ("", present.request)
    promote = present.following is not None and present.following.authority == wanted.active
    current = present.following if promote else present.current
    following = None if promote else present.following
    renew = revoke or current is None or current.due(wanted, wanted.active, now)
    return Plan(
        promote=promote,
        renew=renew,
        renew_following=wanted.following is not None
        and (revoke or following is None or following.due(wanted, wanted.following, now)),
        drop_following=wanted.following is None and following is not None,
        revoke=revoke,
    )


def next_renewal(present: Present) -> datetime | None:
    """When the next certificate is due; None: there is none."""
    return min((held.renewal for held in (present.current, present.following) if held is not None), default=None)
