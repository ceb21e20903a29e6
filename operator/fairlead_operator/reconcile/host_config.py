"""From a RemoteHost and its tokens to the sidecar's configuration, and the Secret that carries it."""

import base64
from collections.abc import Iterable
from typing import Any

from fairlead_api.base import API_VERSION
from fairlead_api.mcptoken import Permission as ApiPermission
from fairlead_api.mcptoken import ToolSelection as ApiToolSelection
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.endpoint import Endpoint
from fairlead_operator.reconcile.host_keys import HostKeyState
from fairlead_operator.reconcile.jumps import Hop
from fairlead_operator.reconcile.labels import host_labels
from fairlead_operator.reconcile.mcp_server_config import mcp_servers
from fairlead_operator.reconcile.names import child_name, credentials_secret_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.policy_config import environment, groups, limits, policy
from fairlead_operator.reconcile.refusal_hints import refusal_hint
from fairlead_sidecar import config as sidecar


def sidecar_config(
    host: Host,
    spec: RemoteHostSpec,
    hops: Iterable[Hop],
    endpoint: Endpoint,
    *,
    host_key: HostKeyState,
    trusted_proxies: tuple[str, ...],
    credentials_version: str,
    drain_timeout: float,
) -> sidecar.SidecarConfig:
    """What the host's sidecar is told, but for the tokens, which `grants.with_tokens` adds.

    Args:
        host: The RemoteHost.
        spec: Its spec.
        hops: The servers that are passed on the way to it.
        endpoint: Where it is served.
        host_key: What holds for its key.
        trusted_proxies: Networks of proxies whose X-Forwarded-For is believed.
        credentials_version: Changes when one of the mounted Secrets does.
        drain_timeout: Seconds that calls under way get when the pod is told to end.
    """
    return sidecar.SidecarConfig(
        instance=host.uid,
        generation=host.generation,
        namespace=host.key.namespace,
        name=host.key.name,
        description=spec.description,
        endpoint=sidecar.Endpoint(path=endpoint.path, public_url=endpoint.url, trusted_proxies=trusted_proxies),
        target=sidecar.Target(address=spec.address, port=spec.port, username=spec.username),
        auth=sidecar.SecretFiles(
            secret_name=credentials_secret_name(host.key.name, spec),
            refusal_hint=refusal_hint(host.key.name, spec),
        ),
        jump_hosts=tuple(
            sidecar.JumpHost(
                target=hop.target,
                auth=sidecar.SecretFiles(
                    directory=sidecar.JUMP_HOSTS_DIRECTORY / str(index),
                    secret_name=hop.secret,
                    refusal_hint=hop.refusal_hint,
                ),
                host_key=hop.host_key,
            )
            for index, hop in enumerate(hops)
        ),
        credentials_version=credentials_version,
        host_key=host_key.trust,
        host_key_acceptance=host_key.acceptance,
        host_key_refusal=host_key.refusal,
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
        spool_directory=sidecar.SPOOL_DIRECTORY,
        drain_timeout=drain_timeout,
    )


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
