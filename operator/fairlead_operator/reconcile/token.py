"""From an McpToken to its Secret, to what sidecars are told, and to its status."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.conditions import TokenCondition, TokenReason
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.meta import ConditionStatus
from fairlead_operator.reconcile.host_config import permissions, tool_selection
from fairlead_operator.reconcile.labels import token_labels
from fairlead_operator.reconcile.names import token_secret_name
from fairlead_operator.reconcile.objects import Host, Token, expiration
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
FIELDS = ("observedGeneration", "conditions", "tokenID", "secretName", "expirationTime", "hostCount")
_SHOWN = 5
_EXPECTED = frozenset({TokenReason.SUSPENDED, TokenReason.EXPIRED, TokenReason.NO_HOSTS})
"""Reasons for not being Ready that are somebody's wish."""


@dataclass(frozen=True)
class Minted:
    """A token that exists in its Secret; the token itself is not kept."""

    id: str
    sha256: str


@dataclass(frozen=True)
class TokenObservation:
    """All that a token's status depends on, besides the object itself."""

    now: datetime
    minted: Minted | None
    hosts: tuple[str, ...]
    """Names of the hosts that it is for."""
    waiting: tuple[str, ...] = ()
    """Those of them whose running sidecar has not loaded it yet."""
    name_conflict: str = ""
    apply_error: str = ""


def matches(token: Token, host: Host) -> bool:
    """Whether the token is for the host."""
    return (
        token.spec is not None
        and token.key.namespace == host.key.namespace
        and token.spec.hosts.matches(host.key.name, host.metadata.labels)
    )


def grant(token: Token, spec: McpTokenSpec, minted: Minted) -> TokenGrant | None:
    """What sidecars are told of it; None where it is not valid at present.

    An expired token is told nevertheless: so the sidecar can say that it expired, which it judges by its own clock.
    """
    if spec.suspended or token.deleting:
        return None
    return TokenGrant(
        id=minted.id,
        uid=token.uid,
        subject=spec.subject,
        secret_sha256=minted.sha256,
        permissions=permissions(spec.permissions),
        tools=tool_selection(spec.tools),
        expires_at=expiration(token.created, spec),
    )


def token_secret(token: Token, spec: McpTokenSpec, text: str | None) -> dict[str, Any]:
    """The Secret that receives the token.

    Args:
        token: The McpToken.
        spec: Its spec.
        text: The token; None leaves what the Secret holds and says only whose it is.
    """
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": token_secret_name(token.key.name, spec),
            "namespace": token.key.namespace,
            "labels": token_labels(token.key.name),
            "ownerReferences": [token.owner_reference("McpToken", API_VERSION)],
        },
        "type": "Opaque",
    }
    if text is not None:
        manifest["data"] = {TOKEN_KEY: _base64(text), AUTHORIZATION_KEY: _base64(f"Bearer {text}")}
    return manifest


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
        TokenReason.SUSPENDED: "spec.suspended is true: no host accepts the token." if token.spec.suspended else "",
        TokenReason.EXPIRED: f"The token expired at {timestamp(end)}: set a later expirationTime or a longer ttl, or"
        " delete it."
        if seen.now >= end
        else "",
        TokenReason.NO_HOSTS: _no_hosts(token.spec) if not seen.hosts else "",
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
    return status


def status_manifest(token: Token, status: Mapping[str, Any]) -> dict[str, Any]:
    """The status as it is applied. The UID keeps it off a new object of the same name."""
    return {
        "apiVersion": API_VERSION,
        "kind": "McpToken",
        "metadata": {"name": token.key.name, "namespace": token.key.namespace, "uid": token.uid},
        "status": dict(status),
    }


def announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    """The Events that the step from one status to the next deserves."""
    ready = changed(TokenCondition.READY, by_type(before), after["conditions"])
    if ready is None or ready["reason"] == TokenReason.DISTRIBUTING:
        return []
    expected = ready["status"] == ConditionStatus.TRUE or ready["reason"] in _EXPECTED
    return [Announcement("Normal" if expected else "Warning", ready["reason"], ready["message"])]
