"""The operator's metrics; labels are bounded."""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("fairlead_reconciles_total", "Finished reconciliations.", ["kind", "outcome"])
RECONCILE_SECONDS = Histogram(
    "fairlead_reconcile_duration_seconds",
    "How long a reconciliation took.",
    ["kind"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
QUEUE_DEPTH = Gauge("fairlead_queue_depth", "Objects that wait for a worker.")
APPLIES = Counter("fairlead_applies_total", "Server-side apply requests.", ["kind", "subresource"])
HOST_CONDITIONS = Gauge(
    "fairlead_host_conditions", "RemoteHosts by condition, its status and reason.", ["type", "status", "reason"]
)
HOSTS = Gauge("fairlead_hosts", "RemoteHosts by the status of their Ready condition.", ["ready"])
TOKENS = Gauge("fairlead_tokens", "McpTokens by the status of their Ready condition.", ["ready"])
AUTHORITIES = Gauge(
    "fairlead_certificate_authorities", "SSHCertificateAuthorities by the status of their Ready condition.", ["ready"]
)
CERTIFICATES = Counter("fairlead_certificates_issued_total", "SSH certificates that were signed.")
STATUSZ_POLLS = Counter("fairlead_statusz_polls_total", "Questions to sidecars.", ["outcome"])
HANDSHAKES = Counter("fairlead_handshakes_total", "MCP handshakes with sidecars.", ["outcome"])
POKES = Counter("fairlead_pod_pokes_total", "Annotations written to make a kubelet sync a pod.")
LEADER = Gauge("fairlead_leader", "1 while this process holds the Lease.")


def count_conditions(statuses: Iterable[Mapping[str, Any]]) -> None:
    """Show how many hosts have which condition for which reason; of others there is no series."""
    tally = Tally(
        (condition["type"], condition["status"], condition["reason"])
        for status in statuses
        for condition in status.get("conditions") or ()
    )
    HOST_CONDITIONS.clear()
    for labels, number in tally.items():
        HOST_CONDITIONS.labels(*labels).set(number)
