"""From an McpToken to its Secret, to what sidecars are told, and to its status."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.conditions import TokenCondition, TokenReason
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.meta import ConditionStatus
from fairlead_operator.reconcile.host_config import permissions, tool_selection
from fairlead_operator.reconcile.labels import token_labels
from fairlead_operator.reconcile.names import token_secret_name
from fairlead_operator.reconcile.objects import Host, Token, expiration
from fairlead_operator.reconcile.token_rotation import NOTHING, STATE_ANNOTATION, Cause, Former, Minted, State
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
from fairlead_sidecar.config import TokenGrant

TOKEN_KEY = "token"  # noqa: S105 - the name of a key, no secret
AUTHORIZATION_KEY = "authorization"
FIELDS = (
    "observedGeneration",
    "conditions",
    "tokenID",
    "secretName",
    "expirationTime",
    "lastRotationTime",
    "lastUsedTime",
    "hostCount",
)
ROTATED = "Rotated"
"""Reason of the Event that tells of another token."""
_SHOWN = 5
_EXPECTED = frozenset({TokenReason.SUSPENDED, TokenReason.EXPIRED, TokenReason.NO_HOSTS})
"""Reasons for not being Ready that are somebody's wish."""


@dataclass(frozen=True)
class TokenObservation:
    """All that a token's status depends on, besides the object itself."""

    now: datetime
    minted: Minted | None
    hosts: tuple[str, ...]
    """Names of the hosts that it is for."""
    waiting: tuple[str, ...] = ()
    """Those of them whose running sidecar has not loaded it yet."""
    full: tuple[str, ...] = ()
    """Those of them that have as many tokens as fit without it."""
    last_used: datetime | None = None
    """When any of them saw it last."""
    name_conflict: str = ""
    apply_error: str = ""
    keys_error: str = ""
    """Why no JWT can be signed."""
    too_many_hosts: str = ""
    """Why a JWT for all of its hosts can't be made."""


def matches(token: Token, host: Host) -> bool:
    """Whether the token is for the host."""
    return (
        token.spec is not None
        and token.key.namespace == host.key.namespace
        and token.spec.hosts.matches(host.key.name, host.metadata.labels)
    )


def grants(
    token: Token, spec: McpTokenSpec, minted: Minted, now: datetime, coming: Minted | None = None
) -> tuple[TokenGrant, ...]:
    """What sidecars are told of the token, and of those before and after it that work as well; empty: none is valid.

    An expired token is told nevertheless: so the sidecar can say that it expired, which it judges by its own clock.

    Args:
        token: The McpToken.
        spec: Its spec.
        minted: What its Secret holds.
        now: The time.
        coming: The token that is about to take the Secret's place.
    """
    if spec.suspended or token.deleting:
        return ()
    end = expiration(token.created, spec)

    def grant(some: Minted | Former, until: datetime) -> TokenGrant:
        return TokenGrant(
            id=some.id,
            uid=token.uid,
            subject=spec.subject,
            secret_sha256=some.sha256,
            permissions=permissions(spec.permissions),
            tools=tool_selection(spec.tools),
            source_cidrs=spec.source_cidrs,
            rate_percent=spec.rate_limit.multiplier_percent if spec.rate_limit is not None else 100,
            expires_at=min(until, end),
        )

    present = [minted] if coming is None else [minted, coming]
    return (*(grant(some, end) for some in present), *(grant(some, some.expires) for some in minted.former(now)))


def token_secret(token: Token, spec: McpTokenSpec, text: str, state: State) -> dict[str, Any]:
    """The Secret that receives the token, with what is remembered of it and of those before."""
    metadata: dict[str, Any] = {
        "name": token_secret_name(token.key.name, spec),
        "namespace": token.key.namespace,
        "labels": token_labels(token.key.name),
        "ownerReferences": [token.owner_reference("McpToken", API_VERSION)],
    }
    if state != NOTHING:
        metadata["annotations"] = {STATE_ANNOTATION: state.render()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {TOKEN_KEY: _base64(text), AUTHORIZATION_KEY: _base64(f"Bearer {text}")},
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def token_findings(token: Token, seen: TokenObservation) -> dict[str, Finding | None]:
    """What holds for the token now."""
    return {TokenCondition.READY: _ready(token, seen)}


def _ready(token: Token, seen: TokenObservation) -> Finding:
    if token.spec is None:
        return false(
            TokenReason.INVALID_SPEC,
            f"The operator can't read this object: {token.invalid}. Mend it, or upgrade the operator if the CRDs are"
            " newer.",
        )
    end = expiration(token.created, token.spec)
    obstacles = {
        TokenReason.NAME_CONFLICT: seen.name_conflict,
        TokenReason.APPLY_FAILED: seen.apply_error,
        TokenReason.SIGNING_KEYS_UNAVAILABLE: seen.keys_error,
        TokenReason.SUSPENDED: "spec.suspended is true: no host accepts the token." if token.spec.suspended else "",
        TokenReason.EXPIRED: f"The token expired at {timestamp(end)}: set a later expirationTime or a longer ttl, or"
        " delete it."
        if seen.now >= end
        else "",
        TokenReason.NO_HOSTS: _no_hosts(token.spec) if not seen.hosts else "",
        TokenReason.TOO_MANY_HOSTS: seen.too_many_hosts,
        TokenReason.TOO_MANY_TOKENS: f"No room on {_list(seen.full)}: older tokens fill a host's configuration (1,000"
        " tokens, 1 MiB). Delete some that nobody needs, or name fewer hosts."
        if seen.full
        else "",
        TokenReason.DISTRIBUTING: f"Not loaded yet by {_list(seen.waiting)}." if seen.waiting else "",
    }
    for reason, message in obstacles.items():
        if message:
            return false(reason, message)
    missing = tuple(name for name in token.spec.hosts.names or () if name not in seen.hosts)
    named = f" Named, but not there yet: {_list(missing)}." if missing else ""
    return true(TokenReason.READY, f"Accepted by {_list(seen.hosts)}.{named}")


def _no_hosts(spec: McpTokenSpec) -> str:
    named = f" named {_list(spec.hosts.names)}" if spec.hosts.names else ""
    selected = " matched by the selector" if spec.hosts.selector is not None else ""
    what = " or".join(part for part in (named, selected) if part)
    return f"This namespace has no RemoteHost{what}: the token works as soon as there is one."


def _list(names: tuple[str, ...]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def token_status(token: Token, seen: TokenObservation, findings: Mapping[str, Finding | None]) -> dict[str, Any]:
    """The status as it should be."""
    status: dict[str, Any] = {
        "observedGeneration": token.generation,
        "conditions": conditions(findings, by_type(token.status), token.generation, seen.now),
    }
    if token.spec is None:
        kept = {field: token.status[field] for field in FIELDS[2:] if field in token.status}
        return status | kept
    status |= {
        "secretName": token_secret_name(token.key.name, token.spec),
        "expirationTime": timestamp(expiration(token.created, token.spec)),
        "hostCount": len(seen.hosts),
    }
    if seen.minted is not None:
        status["tokenID"] = seen.minted.id
        if seen.minted.state.since is not None:
            status["lastRotationTime"] = timestamp(seen.minted.state.since)
    if used := last_used(token.status.get("lastUsedTime"), seen.last_used, seen.now):
        status["lastUsedTime"] = used
    return status


def last_used(before: str | None, seen: datetime | None, now: datetime) -> str | None:
    """The hour of the last use as it is written: it never goes back, nor beyond the present hour."""
    if seen is None:
        return before
    # A sidecar's clock may be ahead, and what was written once stays.
    hour = min(seen, now).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if before is not None and hour <= datetime.fromisoformat(before):
        return before
    return timestamp(hour)


def announcements(before: Mapping[str, Any], after: Mapping[str, Any], minted: Minted | None) -> list[Announcement]:
    """The Events that the step from one status to the next deserves."""
    result = []
    if minted is not None and before.get("tokenID") not in {None, minted.id}:
        result.append(Announcement("Normal", ROTATED, _rotated(minted)))
    ready = changed(TokenCondition.READY, by_type(before), after["conditions"])
    if ready is None or ready["reason"] == TokenReason.DISTRIBUTING:
        return result
    expected = ready["status"] == ConditionStatus.TRUE or ready["reason"] in _EXPECTED
    return [*result, Announcement("Normal" if expected else "Warning", ready["reason"], ready["message"])]


def _rotated(minted: Minted) -> str:
    why = f", because {Cause[minted.state.cause]}" if minted.state.cause in Cause.__members__ else ""
    until = f" works until {timestamp(minted.state.former[0].expires)}" if minted.state.former else " no longer works"
    return f"The Secret holds another token{why}; the former one{until}."
