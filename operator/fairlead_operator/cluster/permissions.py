"""What the operator must be allowed to do: the chart grants exactly this, and `helm test` checks it."""

from dataclasses import dataclass

from fairlead_api.base import GROUP


@dataclass(frozen=True)
class Rule:
    """One rule of a Role."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """resourceNames; empty: all. `create` and `list` can't be bound to names."""
    why: str = ""


LEASE_NAME = "fairlead-operator"
PROBE_KEY_NAME = "fairlead-probe-key"
SIGNING_KEYS_NAME = "fairlead-jwt-keys"
OWN_SECRETS = (PROBE_KEY_NAME, SIGNING_KEYS_NAME)
"""In the operator's own namespace."""

WATCHED_NAMESPACES = (
    Rule(GROUP, "remotehosts", ("get", "list", "watch"), why="the objects it serves"),
    Rule(GROUP, "mcptokens", ("get", "list", "watch"), why="the objects it serves"),
    Rule(GROUP, "sshcertificateauthorities", ("get", "list", "watch"), why="the objects it serves"),
    Rule(GROUP, "remotehosts/status", ("patch",), why="conditions"),
    Rule(GROUP, "mcptokens/status", ("patch",), why="conditions"),
    Rule(GROUP, "sshcertificateauthorities/status", ("patch",), why="conditions"),
    Rule(
        "",
        "secrets",
        ("get", "list", "watch", "create", "patch"),
        why="configurations, tokens, keys and certificates; of users' own Secrets it reads those with authorities' keys"
        " alone, and of others the metadata",
    ),
    Rule("", "configmaps", ("get", "list", "watch", "create", "patch"), why="key revocation lists"),
    Rule("", "services", ("get", "list", "watch", "create", "patch"), why="children of hosts"),
    Rule("apps", "deployments", ("get", "list", "watch", "create", "patch", "delete"), why="children of hosts"),
    Rule(
        "networking.k8s.io",
        "networkpolicies",
        ("get", "list", "watch", "create", "patch", "delete"),
        why="children of hosts",
    ),
    Rule(
        "networking.k8s.io",
        "ingresses",
        ("get", "list", "watch", "create", "patch", "delete"),
        why="children of hosts",
    ),
    Rule(
        "gateway.networking.k8s.io",
        "httproutes",
        ("get", "list", "watch", "create", "patch", "delete"),
        why="children of hosts, where the cluster has the Gateway API; and what Gateways say of them",
    ),
    Rule("", "pods", ("list", "patch"), why="why one doesn't start; the annotation that makes its kubelet sync"),
    Rule("events.k8s.io", "events", ("create",), why="transitions"),
)
"""In each namespace that is watched: a Role there, or one ClusterRole where all are."""

OWN_NAMESPACE = (
    Rule("coordination.k8s.io", "leases", ("create",), why="leader election"),
    Rule("coordination.k8s.io", "leases", ("get", "update"), (LEASE_NAME,), why="leader election"),
    Rule("", "secrets", ("create",), why="the probe key, and the keys that sign JWTs"),
    Rule("", "secrets", ("get",), (PROBE_KEY_NAME,), why="the probe key"),
    Rule("", "secrets", ("get", "patch"), (SIGNING_KEYS_NAME,), why="the keys that sign JWTs, and their rotation"),
)
"""In the operator's own namespace: a Role."""
