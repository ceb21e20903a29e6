"""From a RemoteHost to the Deployment of its sidecar."""

from collections.abc import Iterable
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_api.resources import Sidecar
from fairlead_operator.reconcile.jumps import Hop
from fairlead_operator.reconcile.labels import host_labels, pod_selector
from fairlead_operator.reconcile.mounts import CREDENTIAL_KEYS, mcp_server_secrets, value_keys
from fairlead_operator.reconcile.names import child_name, credentials_secret_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.placement import placed, pod_fields, pod_metadata
from fairlead_operator.reconcile.service import INTERNAL_PORT_NAME, PUBLIC_PORT_NAME
from fairlead_operator.settings import Settings
from fairlead_sidecar.config import (
    CONFIG_DIRECTORY,
    CREDENTIALS_DIRECTORY,
    INTERNAL_PORT,
    JUMP_HOSTS_DIRECTORY,
    MCP_SERVERS_DIRECTORY,
    PUBLIC_PORT,
    SPOOL_DIRECTORY,
    VALUES_DIRECTORY,
)

USER_ID = 65532
SPOOL_SIZE = "1Gi"
"""What the kubelet evicts the pod at: well above what the sidecar itself lets its spool grow to."""
START_SECONDS = 120
"""How long the process may take to start on a node that is very busy, before it is started anew."""
_READ_BY_GROUP = 0o440


def deployment(host: Host, spec: RemoteHostSpec, hops: tuple[Hop, ...], settings: Settings) -> dict[str, Any]:
    """The Deployment: one pod, which passes the restricted Pod Security Standard and has no access to the cluster.

    Args:
        host: The RemoteHost.
        spec: Its spec.
        hops: The servers that are passed on the way to it.
        settings: The operator's settings.
    """
    labels = host_labels(host.key.name)
    sidecar = placed(spec.sidecar, settings.sidecar_defaults)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": child_name(host.key.name),
            "namespace": host.key.namespace,
            "labels": labels,
            "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)],
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            # The new pod is ready before the old one goes: an upgrade does not close the only way in.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": pod_selector(host.key.name)},
            "template": {
                "metadata": pod_metadata(sidecar, labels),
                "spec": _pod(host, spec, hops, sidecar, settings),
            },
        },
    }


def _pod(
    host: Host, spec: RemoteHostSpec, hops: tuple[Hop, ...], sidecar: Sidecar, settings: Settings
) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        _secret_volume("config", child_name(host.key.name), None),
        _secret_volume("ssh", credentials_secret_name(host.key.name, spec), CREDENTIAL_KEYS),
        {"name": "spool", "emptyDir": {"sizeLimit": SPOOL_SIZE}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "config", "mountPath": str(CONFIG_DIRECTORY), "readOnly": True},
        {"name": "ssh", "mountPath": str(CREDENTIALS_DIRECTORY), "readOnly": True},
        {"name": "spool", "mountPath": str(SPOOL_DIRECTORY)},
    ]
    jumps = [(hop.secret, str(index), CREDENTIAL_KEYS) for index, hop in enumerate(hops)]
    values = [(name, name, tuple(keys)) for name, keys in value_keys(spec).items()]
    servers = [(secret, name, CREDENTIAL_KEYS) for name, secret in mcp_server_secrets(spec).items()]
    for name, parts, directory in (
        ("jump-hosts", jumps, JUMP_HOSTS_DIRECTORY),
        ("mcp-servers", servers, MCP_SERVERS_DIRECTORY),
        ("values", values, VALUES_DIRECTORY),
    ):
        if parts:
            volumes.append(_projected_volume(name, parts))
            mounts.append({"name": name, "mountPath": str(directory), "readOnly": True})
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # Service links would tell every pod the addresses of all Services in its namespace.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **pod_fields(sidecar),
        "containers": [_container(sidecar, settings, mounts)],
        "volumes": volumes,
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return pod


def _secret_volume(name: str, secret: str, keys: tuple[str, ...] | None) -> dict[str, Any]:
    source: dict[str, Any] = {"secretName": secret, "defaultMode": _READ_BY_GROUP}
    if keys is not None:
        # Optional: the pod runs, and says what is missing, before anybody has created the Secret.
        source |= {"optional": True, "items": [{"key": key, "path": key} for key in keys]}
    return {"name": name, "secret": source}


def _projected_volume(name: str, parts: Iterable[tuple[str, str, tuple[str, ...]]]) -> dict[str, Any]:
    """Several Secrets, each with the named keys in a directory of its own."""
    sources = [
        {
            "secret": {
                "name": secret,
                "optional": True,
                "items": [{"key": key, "path": f"{directory}/{key}"} for key in keys],
            }
        }
        for secret, directory, keys in parts
    ]
    return {"name": name, "projected": {"defaultMode": _READ_BY_GROUP, "sources": sources}}


def _container(sidecar: Sidecar, settings: Settings, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "sidecar",
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy,
        "ports": [
            {"name": PUBLIC_PORT_NAME, "containerPort": PUBLIC_PORT, "protocol": "TCP"},
            {"name": INTERNAL_PORT_NAME, "containerPort": INTERNAL_PORT, "protocol": "TCP"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": sidecar.to_manifest()["resources"],
        # Every second, because a person waits for the first answer; a startup probe would add its own period to that.
        "readinessProbe": _probe("/readyz", period=1, failures=3),
        "livenessProbe": _probe("/healthz", period=10, failures=6) | {"initialDelaySeconds": START_SECONDS},
        "volumeMounts": mounts,
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": INTERNAL_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
