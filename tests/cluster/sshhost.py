"""A host to log in to, as manifests: a pod with OpenSSH and a Service on port 22, from the image `sshhost`.

The contract of the image:

- `/etc/ssh/keys/ssh_host_key`: the host's private key, mode 0400.
- `/etc/ssh/authorized_keys.d/deploy`: who may log in as `deploy` (uid 1000, bash, owner of `/srv`), mode 0444.
- Without these two nobody can log in: there is no password, and root cannot log in at all.
- No environment variables are read.
- sshd runs in the foreground as pid 1 and logs to stderr.
- `sudo`, `python3` and `ps` are there; `deploy` may not use sudo.
- `~deploy/.local/bin/shop-stock` is an MCP server on stdio, with a port number on HTTP at `/mcp`; see shop_stock.py.
- A changed list of authorized keys counts once the kubelet has written it (up to a minute); a changed host key takes a
  new pod, which `kubectl apply` of these manifests makes.
"""

from __future__ import annotations

import hashlib

import yaml

USERNAME = "deploy"


def manifests(
    name: str,
    namespace: str,
    *,
    image: str,
    host_key: str,
    authorized_keys: str,
    labels: dict[str, str] | None = None,
) -> list[dict[str, object]]:
    """Return Secret, Deployment and Service of a host that is reached at `NAME.NAMESPACE.svc`, port 22.

    `host_key` is the private key in OpenSSH's or PEM format; `authorized_keys` is the file's text, which may be empty.
    """
    selector = {"app.kubernetes.io/name": "sshhost", "app.kubernetes.io/instance": name}
    metadata: dict[str, object] = {"name": name, "namespace": namespace, "labels": {**(labels or {}), **selector}}
    host_key = (
        host_key if host_key.endswith("\n") else f"{host_key}\n"
    )  # OpenSSH refuses a key without its last line end
    secret: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "name": f"{name}-sshd"},
        "stringData": {"ssh_host_key": host_key, USERNAME: authorized_keys},
    }
    container = {
        "name": "sshd",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "ssh", "containerPort": 22}],
        # A startup probe alone: each connection of a readiness probe would be a line in the log.
        "startupProbe": {"tcpSocket": {"port": "ssh"}, "periodSeconds": 1, "failureThreshold": 30},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [
            {"name": "host-key", "mountPath": "/etc/ssh/keys", "readOnly": True},
            {"name": "authorized-keys", "mountPath": "/etc/ssh/authorized_keys.d", "readOnly": True},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [
            _secret_volume("host-key", f"{name}-sshd", "ssh_host_key", 0o400),
            _secret_volume("authorized-keys", f"{name}-sshd", USERNAME, 0o444),
        ],
    }
    digest = hashlib.sha256(host_key.encode()).hexdigest()[:16]
    deployment: dict[str, object] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": selector, "annotations": {"host-key-digest": digest}},
                "spec": pod,
            },
        },
    }
    service: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": selector, "ports": [{"name": "ssh", "port": 22, "targetPort": "ssh"}]},
    }
    return [secret, deployment, service]


def manifests_yaml(name: str, namespace: str, *, image: str, host_key: str, authorized_keys: str) -> str:
    """Return the same manifests as one YAML text for `kubectl apply -f -`."""
    objects = manifests(name, namespace, image=image, host_key=host_key, authorized_keys=authorized_keys)
    return yaml.safe_dump_all(objects, sort_keys=False)


def _secret_volume(name: str, secret: str, key: str, mode: int) -> dict[str, object]:
    return {"name": name, "secret": {"secretName": secret, "items": [{"key": key, "path": key, "mode": mode}]}}
