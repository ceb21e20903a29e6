"""What is trusted of a host, and what people decide about keys that did not match.

A refusal is for what the key was judged by (`trust_of`): it ends when any of that is changed, be it a key in a spec, a
pin, or what a person accepts.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fairlead_api.base import GROUP
from fairlead_api.conditions import HostReason
from fairlead_api.host_keys import HostKey, HostKeyType, RefusedHostKey
from fairlead_operator.reconcile.jumps import Hop, trusted_keys
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.transitions import Announcement
from fairlead_sidecar import config as sidecar
from fairlead_sidecar.statusz import LinkStatus

ACCEPT_ANNOTATION = f"{GROUP}/accept-host-key"
HOST_KEY_FIELDS = ("pinnedHostKey", "refusedHostKey", "acceptedHostKey")
"""Of the status."""
_MAX_VALUE = 128
HOST_KEY_PINNED = "HostKeyPinned"
HOST_KEY_ACCEPTED = "HostKeyAccepted"
Trust = sidecar.PinnedHostKeys | sidecar.AuthorityHostKeys | sidecar.FirstUseHostKey


@dataclass(frozen=True)
class HostKeyState:
    """What holds for a host's key."""

    trust: Trust
    pin: str | None
    """With TrustOnFirstUse: the key that is trusted; None: none was seen yet, or another type."""
    accepted: str
    """The annotation's value that was acted upon last: a fingerprint, and whatever follows it."""
    acceptance: str
    """What people accepted about all servers on the way: another value ends refusals."""
    refusal: sidecar.HostKeyRefusal | None = None
    """While there is one, nothing is connected."""
    advice: str = ""
    """With a refusal: what a person can do about it."""


def fingerprint(line: str) -> str:
    """`SHA256:…` of a public key in OpenSSH's one-line format, as `ssh-keygen -l` shows it; empty for what is none."""
    try:
        body = base64.b64decode(line.split()[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return ""
    return f"SHA256:{base64.b64encode(hashlib.sha256(body).digest()).decode().rstrip('=')}"


def judge(
    host: Host,
    host_key: HostKey,
    hops: Sequence[Hop],
    *,
    pin: str | None,
    link: LinkStatus | None,
    seen_by_others: Iterable[str] = (),
) -> HostKeyState:
    """What holds now; the same again for the pin that it chooses.

    Args:
        host: The RemoteHost, with its annotations and the status it has.
        host_key: Of its spec.
        hops: The servers on the way.
        pin: The key that was pinned before, if any.
        link: What its sidecar says of its link; None: nothing.
        seen_by_others: Keys that hosts behind this one refuse.
    """
    first_use = host_key.type is HostKeyType.TRUST_ON_FIRST_USE
    asked = host.metadata.annotations.get(ACCEPT_ANNOTATION, "").strip()[:_MAX_VALUE]
    accepted = host.status.get("acceptedHostKey") or ""
    if first_use and pin is None and link is not None and link.reason == HostReason.HOST_KEY_NOT_PINNED:
        pin = link.host_key
    known = _known_refusal(host, link)
    state = _state(host_key, hops, pin if first_use else None, accepted)
    refusal = known if known is not None and known.trust == _digest(host, state, hops) else None
    if not asked or asked == accepted:
        # The same word again is none: else it would end each mismatch that is still to come.
        return replace(state, refusal=refusal, advice=_advice(host_key, hops, refusal, asked))
    trusted, named = _fingerprints(state.trust), asked.split()[0]
    if refusal is not None:
        refused = fingerprint(refusal.public_key)
        if named == refused and first_use and named == _presented(host, link):
            return _state(host_key, hops, refusal.public_key, asked)
        if named in trusted.union(*(_fingerprints(hop.host_key) for hop in hops)) - {refused}:
            return _state(host_key, hops, state.pin, asked)
        return replace(state, refusal=refusal, advice=_advice(host_key, hops, refusal, asked))
    others = {fingerprint(line): line for line in seen_by_others}
    if first_use and named in others:
        return _state(host_key, hops, others[named], asked)
    # One that says no more than what holds anyway must not end a mismatch that comes later.
    return _state(host_key, hops, state.pin, asked) if named in trusted else state


def status_fields(state: HostKeyState) -> dict[str, Any]:
    """The fields of the status, without those that are empty."""
    fields: dict[str, Any] = {"pinnedHostKey": state.pin, "acceptedHostKey": state.accepted}
    if state.refusal is not None:
        fields["refusedHostKey"] = {
            "fingerprint": fingerprint(state.refusal.public_key),
            "publicKey": state.refusal.public_key,
            "message": state.refusal.message,
            "trust": state.refusal.trust,
        }
    return {name: value for name, value in fields.items() if value}


def announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    """The Events that the step from one status to the next deserves."""
    result = []
    refused, was = after.get("refusedHostKey"), before.get("refusedHostKey")
    if refused and (refused["publicKey"], refused["trust"]) != ((was or {}).get("publicKey"), (was or {}).get("trust")):
        result.append(Announcement("Warning", HostReason.HOST_KEY_MISMATCH, refused["message"]))
    pin, former = after.get("pinnedHostKey"), before.get("pinnedHostKey")
    accepted, so_far = after.get("acceptedHostKey"), before.get("acceptedHostKey")
    if pin and not former:
        text = f"The host presented {fingerprint(pin)} when it was seen first: no other key is trusted from now on."
        result.append(Announcement("Normal", HOST_KEY_PINNED, text))
    elif accepted and accepted != so_far and (pin != former or (was and not refused)):
        text = f"The annotation {ACCEPT_ANNOTATION} accepts {accepted}: what was refused is connected again."
        result.append(Announcement("Normal", HOST_KEY_ACCEPTED, text))
    return result


def refused_key(status: Mapping[str, Any]) -> str | None:
    """The key that a host refuses, by its status."""
    refused = status.get("refusedHostKey") or {}
    return refused.get("publicKey")


def _state(host_key: HostKey, hops: Sequence[Hop], pin: str | None, accepted: str) -> HostKeyState:
    trust: Trust
    if host_key.type is not HostKeyType.TRUST_ON_FIRST_USE:
        trust = trusted_keys(host_key)
    elif pin is None:
        trust = sidecar.FirstUseHostKey()
    else:
        trust = sidecar.PinnedHostKeys(public_keys=(pin,))
    said = [accepted, *(hop.accepted for hop in hops)]
    return HostKeyState(trust=trust, pin=pin, accepted=accepted, acceptance=",".join(said) if any(said) else "")


def _digest(host: Host, state: HostKeyState, hops: Sequence[Hop]) -> str:
    if host.spec is None:
        return ""
    target = sidecar.Target(address=host.spec.address, port=host.spec.port, username=host.spec.username)
    return sidecar.trust_of([*((hop.target, hop.host_key) for hop in hops), (target, state.trust)], state.acceptance)


def _known_refusal(host: Host, link: LinkStatus | None) -> sidecar.HostKeyRefusal | None:
    """The newest refusal that anybody knows of: the sidecar's, else what the status keeps for its next pod."""
    if link is not None and link.host_key_refusal is not None:
        return link.host_key_refusal
    kept = host.status.get("refusedHostKey")
    if not kept:
        return None
    refused = RefusedHostKey.model_validate(kept)
    return sidecar.HostKeyRefusal(public_key=refused.public_key, message=refused.message, trust=refused.trust)


def _presented(host: Host, link: LinkStatus | None) -> str | None:
    """Which key the host itself presented last; a refused one may also have been a jump host's."""
    said = link.host_key_fingerprint if link is not None else None
    return said or host.status.get("hostKeyFingerprint")


def _fingerprints(trust: Trust) -> set[str]:
    return set() if isinstance(trust, sidecar.FirstUseHostKey) else set(map(fingerprint, trust.public_keys))


def _advice(host_key: HostKey, hops: Sequence[Hop], refusal: sidecar.HostKeyRefusal | None, asked: str) -> str:
    if refusal is None:
        return ""
    refused = fingerprint(refusal.public_key)
    if host_key.type is HostKeyType.TRUST_ON_FIRST_USE:
        change = f"set the annotation {ACCEPT_ANNOTATION} to {refused} if that is the host's new key, or"
    else:
        change = "write the new key to spec.hostKey if it is the host's, or set the annotation"
        change += f" {ACCEPT_ANNOTATION}"
    jumps = " A jump host's key is changed, or accepted, in its own RemoteHost or in spec.jumpHosts." if hops else ""
    text = (
        "Nothing is connected until you have decided. Compare with the host's own keys (ssh-keygen -lf on the host);"
        f" then {change} to the fingerprint that is expected, to go on with that.{jumps}"
    )
    if asked:
        text += (
            f" The annotation's present value {asked!r} does not help: it names no key that can be accepted here, or it"
            " was acted upon before: to say the same again, write the time behind the fingerprint."
        )
    return text
