"""From an SSHCertificateAuthority to its objects and its status."""

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fairlead_api.authority import MAX_LISTED, AuthorityState
from fairlead_api.conditions import AuthorityCondition, AuthorityReason
from fairlead_api.meta import ConditionStatus
from fairlead_operator.credentials.krl import SERIAL_BYTES, revocation_list
from fairlead_operator.reconcile.labels import authority_labels
from fairlead_operator.reconcile.ledger import Entry, Ledger
from fairlead_operator.reconcile.names import revocation_list_name
from fairlead_operator.reconcile.objects import Authority
from fairlead_operator.reconcile.transitions import (
    Announcement,
    Finding,
    by_type,
    changed,
    conditions,
    false,
    timestamp,
    true,
)

LIST_KEY = "krl"
LEDGER_KEY = "certificates.json"
FIELDS = (
    "observedGeneration",
    "conditions",
    "trustedUserCAKeys",
    "authorities",
    "certificates",
    "certificateCount",
    "revokedSerials",
    "revokedSerialCount",
    "keyRevocationList",
)
_KEY_FIELDS = ("trustedUserCAKeys", "authorities")
_SHOWN = 5


@dataclass(frozen=True)
class PublicKeys:
    """An authority's keys without their secrets."""

    active: tuple[str, str]
    """Fingerprint and public key (one line without a comment)."""
    following: tuple[str, str] | None = None


@dataclass(frozen=True)
class Problem:
    """Why an authority is not as it should be."""

    reason: AuthorityReason
    message: str


@dataclass(frozen=True)
class AuthorityObservation:
    """All that an authority's status depends on, besides the object itself."""

    now: datetime
    keys: PublicKeys | None
    """None: there are none that can be used, or nobody could look; what was found before is kept."""
    in_force: Sequence[Entry] = ()
    """The newest first."""
    revoked: frozenset[int] = frozenset()
    waiting: tuple[str, ...] = ()
    """During a rotation: the hosts that have not accepted the next key yet."""
    problem: Problem | None = None
    recorded: bool = True
    """Whether the record of certificates could be read; if not, what was found before is kept."""


@dataclass(frozen=True)
class Publication:
    """What is to be published of an authority's record."""

    ledger: Ledger
    """The record, its list counted on where that changed."""
    manifest: dict[str, Any]
    revoked: frozenset[int]
    """All serials that the list refuses."""
    size: int
    """Bytes of the ConfigMap's content, were all that is on record revoked."""


def publication(
    authority: Authority,
    ledger: Ledger,
    now: datetime,
    *,
    current: Iterable[str],
    former: Iterable[str] = (),
    generated: bool = False,
    also_revoked: Collection[int] = (),
) -> Publication:
    """The ConfigMap with the key revocation list, and the record of certificates that it is made from.

    It has no owner: whoever deletes the authority and makes it anew finds the same key, and what of it was revoked.

    Args:
        authority: The SSHCertificateAuthority.
        ledger: The record.
        now: The time.
        current: Public keys that sign at present.
        former: Public keys that were replaced: nothing that they signed is good any more.
        generated: Whether those that sign were generated.
        also_revoked: Serials that a person named, of any of the authority's keys.
    """
    current = frozenset(current)
    # A key that somebody restored from a backup signs again: what it signs must be good.
    replaced = ledger.former.union(former) - current
    ledger = replace(ledger, former=replaced, generated=ledger.generated or generated)
    listed = ledger.to_list(current, also_revoked)
    ledger = ledger.listing(listed, now)
    krl = revocation_list(
        listed.serials,
        listed.keys,
        version=ledger.version,
        generated=datetime.fromtimestamp(ledger.changed, UTC),
        comment=f"fairlead:{authority.key}",
    )
    record = ledger.render()
    unlisted = sum(not entry.revoked for entry in ledger.entries.values())
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": revocation_list_name(authority.key.name),
            "namespace": authority.key.namespace,
            "labels": authority_labels(authority.key.name, "key-revocation-list"),
        },
        "data": {LEDGER_KEY: record},
        "binaryData": {LIST_KEY: base64.b64encode(krl).decode()},
    }
    size = len(record.encode()) + len(krl) + unlisted * SERIAL_BYTES
    return Publication(ledger, manifest, frozenset().union(*listed.serials.values()), size)


def authority_findings(authority: Authority, seen: AuthorityObservation) -> dict[str, Finding | None]:
    """What holds for the authority now."""
    return {AuthorityCondition.READY: _ready(authority, seen)}


def _ready(authority: Authority, seen: AuthorityObservation) -> Finding:
    if authority.spec is None:
        return false(
            AuthorityReason.INVALID_SPEC,
            f"The operator can't read this object: {authority.invalid}. Mend it, or upgrade the operator if the CRDs"
            " are newer.",
        )
    if seen.problem is not None:
        return false(seen.problem.reason, seen.problem.message)
    if seen.keys is not None and seen.keys.following is not None:
        return true(AuthorityReason.ROTATING, _rotation(authority, seen))
    return true(
        AuthorityReason.READY,
        "Put status.trustedUserCAKeys into the file that TrustedUserCAKeys in the hosts' sshd_config names.",
    )


def _rotation(authority: Authority, seen: AuthorityObservation) -> str:
    both = "Two keys sign: put both lines of status.trustedUserCAKeys onto the hosts."
    generated = authority.spec is not None and authority.spec.secret is None
    if seen.waiting:
        end = " With the annotation fairlead.dev/complete-rotation it ends without them." if generated else ""
        return f"{both} Not accepted yet by {_list(seen.waiting)}.{end}"
    done = "Every host has accepted the next key"
    if generated:
        return f"{both} {done}."
    return f"{both} {done}: make it ssh-privatekey in the Secret, and remove next-ssh-privatekey."


def _list(names: tuple[str, ...]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def authority_status(
    authority: Authority, seen: AuthorityObservation, findings: Mapping[str, Finding | None]
) -> dict[str, Any]:
    """The status as it should be."""
    status: dict[str, Any] = {
        "observedGeneration": authority.generation,
        "conditions": conditions(findings, by_type(authority.status), authority.generation, seen.now),
    }
    kept = (() if seen.keys is not None else _KEY_FIELDS) + (() if seen.recorded else FIELDS[4:])
    status |= {field: authority.status[field] for field in kept if field in authority.status}
    if seen.keys is not None:
        status |= _key_fields(authority, seen.keys)
    if seen.recorded:
        status |= _certificate_fields(authority, seen)
    return status


def _key_fields(authority: Authority, keys: PublicKeys) -> dict[str, Any]:
    listed = [(AuthorityState.ACTIVE, *keys.active)]
    if keys.following is not None:
        listed.append((AuthorityState.NEXT, *keys.following))
    return {
        "trustedUserCAKeys": "".join(f"{key} fairlead:{authority.key}\n" for _, _, key in listed),
        "authorities": [
            {"fingerprint": fingerprint, "publicKey": key, "state": state.value} for state, fingerprint, key in listed
        ],
    }


def _certificate_fields(authority: Authority, seen: AuthorityObservation) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "certificateCount": len(seen.in_force),
        "revokedSerialCount": len(seen.revoked),
        "keyRevocationList": {"configMapName": revocation_list_name(authority.key.name)},
    }
    if seen.in_force:
        fields["certificates"] = [
            {
                "serial": entry.serial,
                "host": entry.host,
                "expirationTime": timestamp(datetime.fromtimestamp(entry.expires, UTC)),
            }
            for entry in seen.in_force[:MAX_LISTED]
        ]
    if seen.revoked:
        fields["revokedSerials"] = sorted(seen.revoked)[-MAX_LISTED:]
    return fields


def announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    """The Events that the step from one status to the next deserves."""
    result = []
    ready = changed(AuthorityCondition.READY, by_type(before), after["conditions"])
    if ready is not None:
        kind = "Normal" if ready["status"] == ConditionStatus.TRUE else "Warning"
        result.append(Announcement(kind, ready["reason"], ready["message"]))
    was, now = _active(before), _active(after)
    if was is not None and now is not None and was != now:
        result.append(
            Announcement("Normal", AuthorityReason.KEY_CHANGED, f"The key that signs is {now} now; it was {was}.")
        )
    revoked = set(after.get("revokedSerials", ())) - set(before.get("revokedSerials", ()))
    if revoked:
        serials = _list(tuple(str(serial) for serial in sorted(revoked)))
        result.append(
            Announcement("Normal", AuthorityReason.CERTIFICATES_REVOKED, f"Revoked: {serials}. The list has them now.")
        )
    return result


def _active(status: Mapping[str, Any]) -> str | None:
    keys = (key for key in status.get("authorities") or () if key.get("state") == AuthorityState.ACTIVE)
    return next((str(key["fingerprint"]) for key in keys), None)
