"""Conditions over time: what is kept, when a transition happened, and which transitions people are told of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fairlead_api.meta import ConditionStatus

MESSAGE_LIMIT = 4096


@dataclass(frozen=True)
class Finding:
    """What is found about one aspect now."""

    status: ConditionStatus
    reason: str
    message: str


@dataclass(frozen=True)
class Announcement:
    """An Event to be written on the object."""

    type: str
    """`Normal` or `Warning`."""
    reason: str
    message: str
    subject: str = ""
    """What it is about, where the same may happen again and again; empty: each is to be written."""


def true(reason: str, message: str) -> Finding:
    """It holds."""
    return Finding(ConditionStatus.TRUE, reason, message)


def false(reason: str, message: str) -> Finding:
    """It does not hold."""
    return Finding(ConditionStatus.FALSE, reason, message)


def unknown(reason: str, message: str) -> Finding:
    """Nobody can tell."""
    return Finding(ConditionStatus.UNKNOWN, reason, message)


def by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The conditions of an object's status by their type."""
    return {condition["type"]: condition for condition in status.get("conditions") or ()}


def conditions(
    findings: Mapping[str, Finding | None], previous: Mapping[str, Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The conditions as they are written.

    Args:
        findings: For each type what is found; None keeps what was found before, observedGeneration included.
        previous: The conditions of the present status.
        generation: The object's generation that the findings belong to.
        now: The time of transitions.
    """
    result = []
    for kind, finding in findings.items():
        before = previous.get(kind)
        if finding is None:
            if before is not None:
                result.append(dict(before))
            continue
        same = before is not None and before.get("status") == finding.status
        result.append(
            {
                "type": str(kind),
                "status": finding.status.value,
                "observedGeneration": generation,
                "lastTransitionTime": before["lastTransitionTime"] if before is not None and same else timestamp(now),
                "reason": str(finding.reason),
                "message": finding.message[:MESSAGE_LIMIT],
            }
        )
    return result


def changed(
    kind: str, before: Mapping[str, Mapping[str, Any]], after: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The condition of this type if its status or reason is another than before."""
    now = next((condition for condition in after if condition["type"] == kind), None)
    was = before.get(kind)
    if now is None or (was is not None and (was.get("status"), was.get("reason")) == (now["status"], now["reason"])):
        return None
    return now


def timestamp(moment: datetime) -> str:
    """A time as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    # Not strftime: it writes the year 1 with one digit.
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
