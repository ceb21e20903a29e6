"""A RemoteHost's status, and the transitions worth an Event."""

from collections.abc import Mapping
from typing import Any

from fairlead_api.conditions import HostCondition, HostReason
from fairlead_api.meta import ConditionStatus
from fairlead_operator.reconcile.conditions import Findings
from fairlead_operator.reconcile.endpoint import Endpoint, internal_url
from fairlead_operator.reconcile.host_credentials import credential_announcements
from fairlead_operator.reconcile.host_keys import HOST_KEY_FIELDS
from fairlead_operator.reconcile.host_keys import announcements as host_key_announcements
from fairlead_operator.reconcile.host_keys import status_fields as host_key_fields
from fairlead_operator.reconcile.mcp_server_status import mcp_server_announcements, mcp_servers_status
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.observed import HostObservation
from fairlead_operator.reconcile.transitions import Announcement, by_type, changed, conditions
from fairlead_sidecar.config import PUBLIC_PORT

FIELDS = (
    "observedGeneration",
    "conditions",
    "url",
    "addresses",
    "publicKey",
    "nextPublicKey",
    "hostKeyFingerprint",
    "pinnedHostKey",
    "refusedHostKey",
    "acceptedHostKey",
    "sshServerVersion",
    "toolCount",
    "mcpServers",
)
_UNDER_WAY = frozenset({HostReason.CONNECTING, HostReason.HOST_KEY_NOT_PINNED})
"""Reasons for not being Ready yet."""
_EXPECTED = frozenset({HostReason.POD_NOT_READY, HostReason.SUSPENDED})
"""Reasons for not being Ready that need nobody's attention."""
_EXPOSED_WARNINGS = frozenset(
    {
        HostReason.INSECURE_HTTP,
        HostReason.ENDPOINT_CONFLICT,
        HostReason.ENDPOINT_MISROUTED,
        HostReason.DOMAIN_NOT_ALLOWED,
        HostReason.DOMAIN_NAME_TOO_LONG,
        HostReason.GATEWAY_API_NOT_INSTALLED,
        HostReason.NO_GATEWAY,
        HostReason.ROUTE_NOT_ACCEPTED,
    }
)


def host_status(host: Host, endpoint: Endpoint | None, seen: HostObservation, findings: Findings) -> dict[str, Any]:
    """The status as it should be.

    Args:
        host: The RemoteHost, with the status it has.
        endpoint: Where it is served; None where the spec can't be read.
        seen: What was observed.
        findings: What follows from it.
    """
    status: dict[str, Any] = {
        "observedGeneration": host.generation,
        "conditions": conditions(findings, by_type(host.status), host.generation, seen.now),
    }
    for field in FIELDS[2:]:
        if field in host.status:
            status[field] = host.status[field]
    if endpoint is None:
        return status
    status |= _link_fields(seen)
    if seen.host_key is not None:
        for field in HOST_KEY_FIELDS:
            status.pop(field, None)
        status |= host_key_fields(seen.host_key)
    status.pop("mcpServers", None)
    if host.spec is not None and (servers := mcp_servers_status(host, host.spec, seen)):
        status["mcpServers"] = servers
    status = {field: value for field, value in status.items() if field not in ("publicKey", "nextPublicKey")}
    if seen.credentials is not None:
        status |= seen.credentials.status_fields
    ready = by_type(status).get(HostCondition.READY, {}).get("status") == ConditionStatus.TRUE
    if ready or "url" in status:
        status |= _addresses(host, endpoint, taken=seen.endpoint_winner is not None or bool(endpoint.refusal))
    return status


def _link_fields(seen: HostObservation) -> dict[str, Any]:
    statusz = seen.view.statusz
    if statusz is None:
        return {}
    # Cut to the CRD's bounds: what a remote server says of itself must not make the status unwritable.
    fields: dict[str, Any] = {"toolCount": max(statusz.tool_count, 0)}
    if statusz.link.host_key_fingerprint:
        fields["hostKeyFingerprint"] = statusz.link.host_key_fingerprint[:128]
    if statusz.link.server_version:
        fields["sshServerVersion"] = statusz.link.server_version[:256]
    return fields


def _addresses(host: Host, endpoint: Endpoint, *, taken: bool) -> dict[str, Any]:
    internal = internal_url(host.key, child_name(host.key.name), endpoint.path, PUBLIC_PORT)
    addresses = [{"type": "Internal", "url": internal}]
    # Another host answers at a URL that is taken: nobody must be sent there.
    public = None if taken else endpoint.url
    if public:
        addresses.append({"type": "External", "url": public})
    return {"url": public or internal, "addresses": addresses}


def differs(before: Mapping[str, Any], after: Mapping[str, Any], fields: tuple[str, ...] = FIELDS) -> bool:
    """Whether the status has to be written; fields that are not ours don't count."""
    return any(before.get(field) != after.get(field) for field in fields)


def announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    """The Events that the step from one status to the next deserves."""
    result = []
    previous = by_type(before)
    of_host_key = host_key_announcements(before, after)
    ready = changed(HostCondition.READY, previous, after["conditions"])
    told = {announcement.reason for announcement in of_host_key}
    if ready is not None and ready["reason"] not in _UNDER_WAY | told:
        fine = ready["status"] == ConditionStatus.TRUE or ready["reason"] in _EXPECTED
        result.append(Announcement("Normal" if fine else "Warning", ready["reason"], ready["message"]))
    result += credential_announcements(before, after)
    connected = changed(HostCondition.CONNECTED, previous, after["conditions"])
    limping = connected is not None and connected["status"] == ConditionStatus.TRUE
    if connected is not None and limping and connected["reason"] != HostReason.CONNECTED:
        result.append(Announcement("Warning", connected["reason"], connected["message"]))
    exposed = changed(HostCondition.EXPOSED, previous, after["conditions"])
    if exposed is not None and exposed["reason"] in _EXPOSED_WARNINGS:
        result.append(Announcement("Warning", exposed["reason"], exposed["message"]))
    return of_host_key + result + mcp_server_announcements(before, after)
