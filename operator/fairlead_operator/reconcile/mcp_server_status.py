"""How a host's MCP servers stand, and the transitions worth an Event. None of it bears on the host's own Ready."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fairlead_api.conditions import McpServerCondition, McpServerReason
from fairlead_api.meta import ConditionStatus
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.observed import GRACE, HostObservation
from fairlead_operator.reconcile.transitions import (
    Announcement,
    Finding,
    by_type,
    changed,
    conditions,
    false,
    true,
    unknown,
)
from fairlead_sidecar.statusz import McpServerStatus

READY_EVENT = "McpServerReady"
NOT_READY_EVENT = "McpServerNotReady"
_PASSING = frozenset({McpServerReason.STARTING, McpServerReason.LINK_DOWN})
"""Reasons that may be over in a moment."""
_ABOUT_THE_HOST = frozenset(
    {
        McpServerReason.LINK_DOWN,
        McpServerReason.POD_NOT_READY,
        McpServerReason.CONFIGURATION_PENDING,
        McpServerReason.SUSPENDED,
    }
)
"""Reasons of which the host's own conditions and Events tell: one for each server would be noise."""

Entry = Mapping[str, Any]


def mcp_servers_status(host: Host, spec: RemoteHostSpec, seen: HostObservation) -> list[dict[str, Any]]:
    """`status.mcpServers` as it should be, in the order of the spec."""
    before = _by_name(host.status)
    return [_entry(host, server.name, before.get(server.name, {}), spec, seen) for server in spec.mcp_servers or ()]


def passing_since(seen: HostObservation) -> list[datetime]:
    """Since when servers are in states that are given a moment before they count."""
    statusz = seen.view.statusz
    return [server.since for server in statusz.mcp_servers if server.reason in _PASSING] if statusz else []


def mcp_server_announcements(before: Entry, after: Entry) -> list[Announcement]:
    """The Events that the step from one status of a host to the next deserves."""
    earlier = _by_name(before)
    result = []
    for name, entry in _by_name(after).items():
        was = by_type(earlier.get(name, {}))
        now = changed(McpServerCondition.READY, was, entry["conditions"])
        if now is None:
            continue
        if now["status"] == ConditionStatus.TRUE:
            if was.get(McpServerCondition.READY, {}).get("reason") not in _ABOUT_THE_HOST:
                result.append(_announcement("Normal", READY_EVENT, name, now))
        elif now["status"] == ConditionStatus.FALSE and now["reason"] not in _ABOUT_THE_HOST:
            result.append(_announcement("Warning", NOT_READY_EVENT, name, now))
    return result


def _announcement(kind: str, event: str, name: str, condition: Entry) -> Announcement:
    reason = condition["reason"]
    text = f"{name}: {condition['message']}" if kind == "Normal" else f"{name}: {reason}: {condition['message']}"
    return Announcement(kind, event, text, subject=f"{name}/{reason}")


def _by_name(status: Entry) -> dict[str, Entry]:
    return {entry["name"]: entry for entry in status.get("mcpServers") or ()}


def _entry(host: Host, name: str, before: Entry, spec: RemoteHostSpec, seen: HostObservation) -> dict[str, Any]:
    told = _told(name, seen)
    previous = by_type(before)
    finding = _finding(told, previous.get(McpServerCondition.READY), spec, seen)
    entry: dict[str, Any] = {
        "name": name,
        "conditions": conditions({McpServerCondition.READY: finding}, previous, host.generation, seen.now),
    }
    for field in ("serverInfo", "protocolVersion", "toolCount"):
        if field in before:
            entry[field] = before[field]
    return entry | (_handshake_fields(told) if told is not None else {})


def _told(name: str, seen: HostObservation) -> McpServerStatus | None:
    """What the sidecar says of a server, if it is about the object as it is now."""
    view = seen.view
    if view.statusz is None or not view.answering or view.outdated_since is not None or seen.obstacle is not None:
        return None
    return next((server for server in view.statusz.mcp_servers if server.name == name), None)


def _handshake_fields(told: McpServerStatus) -> dict[str, Any]:
    # Cut to the CRD's bounds: what a server says of itself must not make the status unwritable.
    fields: dict[str, Any] = {"toolCount": max(told.tool_count, 0)}
    if told.server_name is not None:
        fields["serverInfo"] = {"name": _printable(told.server_name)}
        if told.server_version is not None:
            fields["serverInfo"]["version"] = _printable(told.server_version)
    if told.protocol_version is not None:
        fields["protocolVersion"] = _printable(told.protocol_version)[:64]
    return fields


def _printable(text: str) -> str:
    return "".join(character for character in text[:256] if character.isprintable())


def _finding(
    told: McpServerStatus | None, before: Entry | None, spec: RemoteHostSpec, seen: HostObservation
) -> Finding | None:
    """What is found of a server; None: what was found before is kept."""
    if spec.suspended:
        return false(McpServerReason.SUSPENDED, "spec.suspended is true: there is no pod and no connection.")
    if told is None:
        silence = _silence(seen)
        return None if before is not None and not _lasts(seen) else silence
    if told.ready:
        return true(McpServerReason.READY, told.message)
    status = before.get("status") if before is not None else None
    if told.reason in _PASSING and status == ConditionStatus.TRUE and seen.now - told.since < GRACE:
        return None
    if told.reason == McpServerReason.STARTING:
        # That it is tried again says less than why it did not work.
        return None if status == ConditionStatus.FALSE else unknown(McpServerReason.STARTING, told.message)
    known = told.reason in set(McpServerReason)
    return false(told.reason if known else McpServerReason.FAILED, told.message)


def _lasts(seen: HostObservation) -> bool:
    """Whether the sidecar has been silent, or behind, for longer than a moment."""
    view = seen.view
    if seen.obstacle is not None:
        return seen.obstacle.closed
    since = view.silent_since or view.outdated_since
    return since is not None and seen.now - since >= GRACE


def _silence(seen: HostObservation) -> Finding:
    if seen.obstacle is not None:
        return unknown(McpServerReason.CONFIGURATION_PENDING, seen.obstacle.message)
    if seen.view.answering:
        return unknown(McpServerReason.CONFIGURATION_PENDING, "The pod has not loaded the newest configuration yet.")
    return unknown(McpServerReason.POD_NOT_READY, "The pod that holds the connection does not answer yet.")
