"""The newest pod of each host, looked for anew whenever its Deployment changed."""

from fairlead_operator.cluster.metadata import MetadataCache
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.reconcile.labels import pod_selector, selector_text
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Key
from fairlead_operator.reconcile.pods import newest_pod


class NewestPods:
    """Knows the UIDs of pods.

    A Deployment's status counts its pods, so a new pod always changes it, and the change is an event.
    """

    def __init__(self, objects: Objects, deployments: MetadataCache) -> None:
        self._objects = objects
        self._deployments = deployments
        self._seen: dict[Key, tuple[int, str | None]] = {}

    async def uid(self, host: Key) -> str | None:
        """UID of the newest pod that is not on its way out; None: there is none.

        Raises:
            ApiError: The API server did not tell.
        """
        deployment = self._deployments.get(host.namespace, child_name(host.name))
        if deployment is None:
            self.forget(host)
            return None
        seen = self._seen.get(host)
        if seen is not None and seen[0] == deployment.version:
            return seen[1]
        found = newest_pod(await self._objects.pods(host.namespace, selector_text(pod_selector(host.name))))
        uid = str(found["metadata"]["uid"]) if found is not None else None
        self._seen[host] = (deployment.version, uid)
        return uid

    def forget(self, host: Key) -> None:
        """The host is gone."""
        self._seen.pop(host, None)
