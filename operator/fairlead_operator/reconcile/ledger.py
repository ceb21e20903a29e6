"""What an authority has signed, and what of it is revoked: on record until it is over.

The record is kept beside the key revocation list, so that it outlasts the operator's process, the hosts and the
SSHCertificateAuthority itself.
"""

import hashlib
import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from fairlead_operator.credentials.public_keys import wire

CLOCKS_DIFFER = timedelta(hours=1)
"""How long a revoked serial stays listed after its end, for hosts whose clocks are late."""
_RANDOM_BITS = 20
"""Of a serial; the time makes the rest. Below 2**53 up to the year 2242, so that jq and JavaScript keep it exact."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate."""

    serial: int
    host: str
    """Name of the RemoteHost."""
    uid: str
    """Of the RemoteHost; empty: unknown."""
    expires: int
    """Unix time."""
    authority: str
    """`SHA256:…` of the key that signed it; empty: unknown, it may be any."""
    revoked: bool = False


@dataclass(frozen=True)
class Listed:
    """What the key revocation list holds."""

    serials: Mapping[str, frozenset[int]]
    """Public key of an authority -> serials."""
    keys: frozenset[str]
    """Public keys that are refused as such."""

    @property
    def digest(self) -> str:
        """Changes with the content."""
        content = {key: sorted(serials) for key, serials in self.serials.items() if serials}
        return hashlib.sha256(json.dumps([content, sorted(self.keys)], sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ledger:
    """The record of one authority."""

    entries: Mapping[int, Entry] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint -> public key, of all keys that signed what is on record."""
    former: frozenset[str] = frozenset()
    """Public keys that nobody should trust any more."""
    generated: bool = False
    """Whether a key was generated for the authority at any time."""
    digest: str = ""
    """Of what the list holds."""
    version: int = 0
    """How often the list changed."""
    changed: int = 0
    """Unix time of its last change."""

    def next_serial(self, now: datetime) -> int:
        """A serial larger than all before, whoever gave them and whenever: time and chance make it."""
        fresh = (int(now.timestamp()) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        return max(fresh, max(self.entries, default=0) + 1)

    def signed(self, entry: Entry, public_key: str) -> "Ledger":
        """With one more certificate, signed by this key."""
        return replace(
            self, entries={**self.entries, entry.serial: entry}, keys={**self.keys, entry.authority: public_key}
        )

    def revoked(self, serials: Collection[int]) -> "Ledger":
        """With these certificates revoked. Nothing takes that back."""
        entries = {
            serial: replace(entry, revoked=True) if serial in serials else entry
            for serial, entry in self.entries.items()
        }
        return replace(self, entries=entries)

    def pruned(self, now: datetime) -> "Ledger":
        """Without what is over, and without keys that signed nothing else."""
        limit = (now - CLOCKS_DIFFER).timestamp()
        entries = {serial: entry for serial, entry in self.entries.items() if entry.expires > limit}
        used = {entry.authority for entry in entries.values()}
        return replace(self, entries=entries, keys={name: key for name, key in self.keys.items() if name in used})

    def lapsed(self, held: Callable[[Entry], bool | None]) -> frozenset[int]:
        """The serials that no host holds any more.

        Args:
            held: Whether its host holds a certificate; None: nobody can tell at present.
        """
        return frozenset(serial for serial, entry in self.entries.items() if not entry.revoked and held(entry) is False)

    def in_force(self, now: datetime, also_revoked: Collection[int] = ()) -> list[Entry]:
        """What is neither over nor revoked, the newest first."""
        entries = (
            entry
            for entry in self.entries.values()
            if not entry.revoked and entry.serial not in also_revoked and entry.expires > now.timestamp()
        )
        return sorted(entries, key=lambda entry: -entry.serial)

    def to_list(self, current: Iterable[str], also_revoked: Collection[int] = ()) -> Listed:
        """What the key revocation list has to hold.

        Args:
            current: Public keys that sign at present.
            also_revoked: Serials that a person named, of any of the authority's keys.
        """
        serials: defaultdict[str, set[int]] = defaultdict(set)
        every = {*current, *self.keys.values()}
        for key in every:
            serials[key] |= set(also_revoked)
        for entry in self.entries.values():
            if entry.revoked:
                for key in [self.keys[entry.authority]] if entry.authority in self.keys else every:
                    serials[key].add(entry.serial)
        return Listed({key: frozenset(some) for key, some in serials.items()}, self.former)

    def listing(self, listed: Listed, now: datetime) -> "Ledger":
        """With the list's version counted on if it holds something else than before."""
        if listed.digest == self.digest:
            return self
        return replace(self, digest=listed.digest, version=self.version + 1, changed=int(now.timestamp()))

    def render(self) -> str:
        """As it is kept: JSON; a certificate is its serial, host, host's UID, end, key's place, and 1 if revoked."""
        names = sorted({*self.keys, *(entry.authority for entry in self.entries.values())})
        certificates = [
            [entry.serial, entry.host, entry.uid, entry.expires, names.index(entry.authority), int(entry.revoked)]
            for _, entry in sorted(self.entries.items())
        ]
        return json.dumps(
            {
                "list": {"digest": self.digest, "version": self.version, "changed": self.changed},
                "keys": [[name, self.keys.get(name, "")] for name in names],
                "former": sorted(self.former),
                "generated": self.generated,
                "certificates": certificates,
            },
            separators=(",", ":"),
        )

    @classmethod
    def parse(cls, text: str) -> "Ledger":
        """Read what `render` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            content = json.loads(text)
            keys = {str(name): str(key) for name, key in content["keys"]}
            names = list(keys)
            entries = (
                Entry(_serial(serial), str(host), str(uid), int(expires), names[place], bool(revoked))
                for serial, host, uid, expires, place, revoked in content["certificates"]
            )
            return cls(
                entries={entry.serial: entry for entry in entries},
                keys={name: _public_key(key) for name, key in keys.items() if key},
                former=frozenset(map(_public_key, content["former"])),
                generated=bool(content["generated"]),
                digest=str(content["list"]["digest"]),
                version=int(content["list"]["version"]),
                changed=int(content["list"]["changed"]),
            )
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise ValueError("no record of certificates") from error

    @classmethod
    def recovered(cls, status: Mapping[str, Any], now: datetime, longest: timedelta) -> "Ledger":
        """What the SSHCertificateAuthority's status tells, where the record itself is lost.

        Which key signed what is unknown, and so is the end of what is revoked: it counts as the latest possible.

        Args:
            status: The status.
            now: The time.
            longest: How long a certificate may last.
        """
        entries = {}
        for some in status.get("certificates") or ():
            expires = datetime.fromisoformat(some["expirationTime"])
            entries[some["serial"]] = Entry(some["serial"], some["host"], "", int(expires.timestamp()), "")
        latest = int((now + longest).timestamp())
        for serial in status.get("revokedSerials") or ():
            entries[serial] = Entry(serial, "", "", latest, "", revoked=True)
        return cls(entries=entries, generated=bool(status.get("authorities")))


def _serial(value: int) -> int:
    if not 0 < value < 2**64:
        raise ValueError(f"{value} is no serial")
    return int(value)


def _public_key(line: str) -> str:
    wire(line)
    return line
