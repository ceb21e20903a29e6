"""The operator's metrics; labels are bounded."""

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
HOSTS = Gauge("fairlead_hosts", "RemoteHosts by the status of their Ready condition.", ["ready"])
TOKENS = Gauge("fairlead_tokens", "McpTokens by the status of their Ready condition.", ["ready"])
STATUSZ_POLLS = Counter("fairlead_statusz_polls_total", "Questions to sidecars.", ["outcome"])
HANDSHAKES = Counter("fairlead_handshakes_total", "MCP handshakes with sidecars.", ["outcome"])
POKES = Counter("fairlead_pod_pokes_total", "Annotations written to make a kubelet sync a pod.")
LEADER = Gauge("fairlead_leader", "1 while this process holds the Lease.")
