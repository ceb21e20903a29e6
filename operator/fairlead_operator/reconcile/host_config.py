"""From a RemoteHost and its tokens to the sidecar's configuration, and the Secret that carries it."""

import base64
from collections.abc import Iterable
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.mcptoken import Permission as ApiPermission
from fairlead_api.mcptoken import ToolSelection as ApiToolSelection
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.endpoint import Endpoint
from fairlead_operator.reconcile.jumps import Hop, trusted_keys
from fairlead_operator.reconcile.labels import host_labels
from fairlead_operator.reconcile.mcp_server_config import mcp_servers
from fairlead_operator.reconcile.names import child_name, credentials_secret_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.policy_config import environment, groups, limits, policy
from fairlead_sidecar import config as sidecar


def sidecar_config(
    host: Host,
    spec: RemoteHostSpec,
    hops: Iterable[Hop],
    endpoint: Endpoint,
    grants: Iterable[sidecar.TokenGrant],
    *,
    credentials_version: str,
    probe_sha256: str,
    drain_timeout: float,
) -> sidecar.SidecarConfig:
    """What the host's sidecar is told.

    Args:
        host: The RemoteHost.
        spec: Its spec.
        hops: The servers that are passed on the way to it.
        endpoint: Where it is served.
        grants: The tokens that are for it.
        credentials_version: Changes when one of the mounted Secrets does.
        probe_sha256: Hash of the operator's own credential for this host.
        drain_timeout: Seconds that calls under way get when the pod is told to end.
    """
    return sidecar.SidecarConfig(
        instance=host.uid,
        generation=host.generation,
        namespace=host.key.namespace,
        name=host.key.name,
        description=spec.description,
        endpoint=sidecar.Endpoint(path=endpoint.path, public_url=endpoint.url),
        target=sidecar.Target(address=spec.address, port=spec.port, username=spec.username),
        auth=sidecar.SecretFiles(secret_name=credentials_secret_name(host.key.name, spec)),
        jump_hosts=tuple(
            sidecar.JumpHost(
                target=hop.target,
                auth=sidecar.SecretFiles(directory=sidecar.JUMP_HOSTS_DIRECTORY / str(index), secret_name=hop.secret),
                host_key=hop.host_key,
            )
            for index, hop in enumerate(hops)
        ),
        credentials_version=credentials_version,
        host_key=trusted_keys(spec.host_key),
        connection=sidecar.Connection(
            connect_timeout=spec.connection.connect_timeout.total_seconds(),
            keepalive_interval=spec.connection.keep_alive_interval.total_seconds(),
            keepalive_count_max=spec.connection.keep_alive_count_max,
            max_connections=spec.connection.max_connections,
        ),
        environment=environment(spec.environment),
        groups=groups(spec.tools.groups if spec.tools else None),
        policy=policy(spec.policy),
        limits=limits(spec.limits),
        mcp_servers=mcp_servers(spec.mcp_servers),
        tokens=_sorted(grants),
        probe_sha256=probe_sha256,
        spool_directory=sidecar.SPOOL_DIRECTORY,
        drain_timeout=drain_timeout,
    )


def with_grants(
    config: sidecar.SidecarConfig, grants: Iterable[sidecar.TokenGrant], *, probe_sha256: str
) -> sidecar.SidecarConfig:
    """A configuration that was in force before, with the tokens of today."""
    return config.model_copy(update={"tokens": _sorted(grants), "probe_sha256": probe_sha256})


def _sorted(grants: Iterable[sidecar.TokenGrant]) -> tuple[sidecar.TokenGrant, ...]:
    return tuple(sorted(grants, key=lambda grant: (grant.uid, grant.id)))


def revokes(before: Iterable[sidecar.TokenGrant], after: Iterable[sidecar.TokenGrant]) -> bool:
    """Whether a token may do less, or for a shorter time, afterwards than before."""
    left = {grant.id: grant for grant in after}
    return any((same := left.get(grant.id)) is None or _less(grant, same) for grant in before)


def _less(before: sidecar.TokenGrant, after: sidecar.TokenGrant) -> bool:
    shorter = after.expires_at is not None and (before.expires_at is None or after.expires_at < before.expires_at)
    other = (before.uid, before.secret_sha256) != (after.uid, after.secret_sha256)
    # Which of two selections lets more through is hard to tell: another one counts as less.
    fewer = after.tools not in (before.tools, sidecar.ToolSelection())
    return other or shorter or fewer or not before.permissions <= after.permissions


def permissions(granted: Iterable[ApiPermission]) -> frozenset[sidecar.Permission]:
    """The API's permissions in the sidecar's words."""
    return frozenset(sidecar.Permission(permission.value) for permission in granted)


def tool_selection(tools: ApiToolSelection | None) -> sidecar.ToolSelection:
    """The tools that a token sees, in the sidecar's words; None: all that its permissions open."""
    if tools is None:
        return sidecar.ToolSelection()
    return sidecar.ToolSelection(allow=tools.allow, deny=tools.deny or ())


def config_secret(host: Host, rendered: str) -> dict[str, Any]:
    """The Secret that the sidecar mounts as its configuration."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": child_name(host.key.name),
            "namespace": host.key.namespace,
            "labels": host_labels(host.key.name),
            "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)],
        },
        "type": "Opaque",
        "data": {sidecar.CONFIG_KEY: base64.b64encode(rendered.encode()).decode()},
    }
