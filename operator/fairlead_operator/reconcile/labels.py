"""The labels of everything that the operator makes, and the matching of label selectors."""

from collections.abc import Mapping

from fairlead_api.base import GROUP

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "fairlead-operator"
HOST_LABEL = f"{GROUP}/host"
TOKEN_LABEL = f"{GROUP}/token"
AUTHORITY_LABEL = f"{GROUP}/authority"
MANAGED_SELECTOR = f"{MANAGED_BY}={MANAGER}"


def host_labels(name: str, component: str = "sidecar") -> dict[str, str]:
    """The labels of a host's children."""
    return {
        "app.kubernetes.io/name": "fairlead",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "fairlead",
        MANAGED_BY: MANAGER,
        HOST_LABEL: name,
    }


def pod_selector(name: str) -> dict[str, str]:
    """The labels by which a host's pods are found; a Deployment can never change them."""
    return {"app.kubernetes.io/component": "sidecar", HOST_LABEL: name}


def selector_text(labels: Mapping[str, str]) -> str:
    """Equality selectors as a query parameter."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def token_labels(name: str) -> dict[str, str]:
    """The labels of a token's Secret."""
    return {
        "app.kubernetes.io/name": "fairlead",
        "app.kubernetes.io/component": "token",
        "app.kubernetes.io/part-of": "fairlead",
        MANAGED_BY: MANAGER,
        TOKEN_LABEL: name,
    }


def authority_labels(name: str, component: str) -> dict[str, str]:
    """The labels of what belongs to an SSHCertificateAuthority."""
    return {
        "app.kubernetes.io/name": "fairlead",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "fairlead",
        MANAGED_BY: MANAGER,
        AUTHORITY_LABEL: name,
    }
