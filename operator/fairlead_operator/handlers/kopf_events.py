"""kopf's part: it watches the API's objects, and hands every event on.

Only `on.event` is used: it keeps no annotation and no finalizer on users' objects, so that deleting one never hangs.
"""

from collections.abc import Callable
from typing import Any

import kopf

from fairlead_api.authority import SSHCertificateAuthority
from fairlead_api.base import GROUP, VERSION
from fairlead_api.mcptoken import McpToken
from fairlead_api.remotehost import RemoteHost
from fairlead_operator.handlers.dispatch import Dispatcher
from fairlead_operator.reconcile.objects import Key


def operator_registry(
    dispatcher: Dispatcher, hand_over: Callable[..., object], listed_anew: Callable[[], None]
) -> kopf.OperatorRegistry:
    """The handlers.

    Args:
        dispatcher: Takes the events.
        hand_over: Calls a function with arguments where the dispatcher lives, in the order of calls.
        listed_anew: Called when kopf lists objects anew. It does not tell which have vanished meanwhile.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        # Without the client libraries, which kopf would prefer: this pod has them, but they cost memory.
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, RemoteHost.PLURAL, registry=registry)  # type: ignore[arg-type]  # kopf calls with more than its types say
    async def host_event(event: kopf.RawEvent, namespace: str, name: str, **_: Any) -> None:
        if event["type"] is None:
            hand_over(listed_anew)
        if event["type"] == "DELETED":
            hand_over(dispatcher.host_gone, Key(namespace, name))
        else:
            hand_over(dispatcher.host_seen, event["object"])

    @kopf.on.event(GROUP, VERSION, McpToken.PLURAL, registry=registry)  # type: ignore[arg-type]  # as above
    async def token_event(event: kopf.RawEvent, namespace: str, name: str, **_: Any) -> None:
        if event["type"] is None:
            hand_over(listed_anew)
        if event["type"] == "DELETED":
            hand_over(dispatcher.token_gone, Key(namespace, name))
        else:
            hand_over(dispatcher.token_seen, event["object"])

    @kopf.on.event(GROUP, VERSION, SSHCertificateAuthority.PLURAL, registry=registry)  # type: ignore[arg-type]  # as above
    async def authority_event(event: kopf.RawEvent, namespace: str, name: str, **_: Any) -> None:
        if event["type"] is None:
            hand_over(listed_anew)
        if event["type"] == "DELETED":
            hand_over(dispatcher.authority_gone, Key(namespace, name))
        else:
            hand_over(dispatcher.authority_seen, event["object"])

    return registry


def operator_settings() -> kopf.OperatorSettings:
    """kopf's settings."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # No list and watch of CRDs and namespaces: that would take permissions nobody needs to give.
    settings.scanning.disabled = True
    # A limit would make each object wait until idle workers of others time out.
    settings.queueing.worker_limit = None
    settings.watching.server_timeout = 300
    return settings
