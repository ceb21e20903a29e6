"""A host, and what may be observed of it, for tests to vary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlead_operator.reconcile.conditions import host_findings
from fairlead_operator.reconcile.endpoint import resolve_endpoint
from fairlead_operator.reconcile.host_status import host_status
from fairlead_operator.reconcile.objects import Host, read_host
from fairlead_operator.reconcile.observed import Handshake, HostObservation, SidecarView
from fairlead_operator.reconcile.transitions import by_type
from fairlead_operator.settings import Settings
from fairlead_sidecar.statusz import LinkState, LinkStatus, Statusz

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = Settings(namespace="fairlead-system", sidecar_image="sidecar:1", endpoint_host="mcp.example.com")
PIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3RvQtTBvcEuT4LhhLfNwZ6+Jz5Fh5mFQ4sEuKXgY5s"


def body(name: str = "web-01", generation: int = 1, status: Any = None, **spec: Any) -> dict[str, Any]:
    """A RemoteHost as the API server gives it."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "generation": generation,
            "resourceVersion": "1",
            "creationTimestamp": "2026-02-01T00:00:00Z",
        },
        "spec": {
            "address": "web-01.internal",
            "username": "deploy",
            "auth": {"type": "Secret", "secret": {"name": "web-01-ssh"}},
            "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [PIN]}},
            **spec,
        },
        "status": status or {},
    }


def host(**changes: Any) -> Host:
    """A RemoteHost as the reconcilers see it."""
    return read_host(body(**changes))


def link(state: LinkState, reason: str, message: str = "what happened", since: datetime = NOW) -> LinkStatus:
    """What a sidecar says of its SSH link."""
    return LinkStatus(state=state, reason=reason, message=message, since=since)


def statusz(link: LinkStatus, digest: str = "d1") -> Statusz:
    """What a sidecar answers."""
    return Statusz(version="1", config_digest=digest, link=link, tool_count=5)


WORKING = SidecarView(
    statusz=statusz(link(LinkState.CONNECTED, "Connected")), handshake=Handshake(ok=True, message="", tool_count=5)
)


def failed(reason: str, message: str = "what happened") -> SidecarView:
    """A sidecar whose last login failed."""
    return replace(WORKING, statusz=statusz(link(LinkState.FAILED, reason, message)), handshake=None)


def observe(
    host: Host, view: SidecarView, *, now: datetime = NOW, settings: Settings = SETTINGS, **changes: Any
) -> dict[str, Any]:
    """The host's status after this was observed."""
    assert host.spec is not None
    seen = HostObservation(now=now, view=view, **{"secret_exists": True, **changes})
    endpoint = resolve_endpoint(host.key, host.spec, settings)
    return host_status(host, endpoint, seen, host_findings(host, host.spec, endpoint, seen))


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    """Status and reason of one condition."""
    found = by_type(status)[kind]
    return found["status"], found["reason"]


def later(seconds: float) -> datetime:
    """A moment after NOW."""
    return NOW + timedelta(seconds=seconds)
