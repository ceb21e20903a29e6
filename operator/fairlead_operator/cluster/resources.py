"""The kinds of objects that the operator reads or writes, and their paths."""

from dataclasses import dataclass
from typing import Any

from fairlead_api.base import GROUP, VERSION


@dataclass(frozen=True)
class Resource:
    """One kind of namespaced object."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of one object, of those in a namespace, or of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


REMOTE_HOSTS = Resource(GROUP, VERSION, "RemoteHost", "remotehosts")
MCP_TOKENS = Resource(GROUP, VERSION, "McpToken", "mcptokens")
AUTHORITIES = Resource(GROUP, VERSION, "SSHCertificateAuthority", "sshcertificateauthorities")
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments")
SERVICES = Resource("", "v1", "Service", "services")
SECRETS = Resource("", "v1", "Secret", "secrets")
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
PODS = Resource("", "v1", "Pod", "pods")
INGRESSES = Resource("networking.k8s.io", "v1", "Ingress", "ingresses")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
EVENTS = Resource("events.k8s.io", "v1", "Event", "events")
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")

CHILDREN = (DEPLOYMENTS, SERVICES, NETWORK_POLICIES, INGRESSES, HTTP_ROUTES)
"""What belongs to hosts, besides Secrets."""
OPTIONAL = frozenset({HTTP_ROUTES})
"""What a cluster need not serve."""

_WRITTEN = {
    (r.api_version, r.kind): r for r in (*CHILDREN, SECRETS, CONFIG_MAPS, LEASES, REMOTE_HOSTS, MCP_TOKENS, AUTHORITIES)
}


def resource_of(manifest: dict[str, Any]) -> Resource:
    """The resource that a manifest of ours is of."""
    return _WRITTEN[manifest["apiVersion"], manifest["kind"]]
