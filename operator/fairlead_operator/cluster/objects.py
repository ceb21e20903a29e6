"""Reading and writing single objects."""

from typing import Any

from fairlead_operator import metrics
from fairlead_operator.cluster.client import APPLY, MERGE, Api
from fairlead_operator.cluster.errors import Conflict, NotFound
from fairlead_operator.cluster.resources import PODS, Resource, resource_of

FIELD_MANAGER = "fairlead-operator"
STATUS_MANAGER = "fairlead-status"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PAGE = "500"

Object = dict[str, Any]


class Objects:
    """The verbs the operator uses."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object, None where it does not exist."""
        try:
            return await self._api.request("GET", resource.path(namespace, name))
        except NotFound:
            return None

    async def get_metadata(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object's metadata alone, None where it does not exist."""
        try:
            return await self._api.request("GET", resource.path(namespace, name), accept=METADATA)
        except NotFound:
            return None

    async def create(self, manifest: Object) -> Object:
        """Create an object.

        Raises:
            Conflict: It exists already.
        """
        namespace = manifest["metadata"]["namespace"]
        path = resource_of(manifest).path(namespace)
        return await self._api.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def apply(self, manifest: Object, uid: str | None) -> Object:
        """Server-side apply: what the manifest names is as it says afterwards; equal content is not written again.

        Args:
            manifest: The object.
            uid: Of the object that is meant, None where there is none yet.

        Raises:
            Conflict: Another object has the name by now.
        """
        if uid is not None:
            manifest = manifest | {"metadata": manifest["metadata"] | {"uid": uid}}
        return await self._apply(manifest, FIELD_MANAGER, None)

    async def apply_status(self, manifest: Object) -> Object:
        """Server-side apply of the status alone.

        Raises:
            NotFound: The object is gone.
            Conflict: `metadata.uid` names another one than the object that has the name now.
        """
        return await self._apply(manifest, STATUS_MANAGER, "status")

    async def _apply(self, manifest: Object, manager: str, subresource: str | None) -> Object:
        metadata = manifest["metadata"]
        path = resource_of(manifest).path(metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": manager, "force": "true"}
        metrics.APPLIES.labels(manifest["kind"], subresource or "").inc()
        return await self._api.request("PATCH", path, query=query, body=manifest, content_type=APPLY)

    async def merge(self, resource: Resource, namespace: str, name: str, change: Object) -> Object:
        """JSON merge patch (RFC 7396): what the change names is as it says afterwards, and gone where that is None.

        Raises:
            NotFound: The object is gone.
            Conflict: `metadata.resourceVersion` is not the present one.
        """
        path, query = resource.path(namespace, name), {"fieldManager": FIELD_MANAGER}
        return await self._api.request("PATCH", path, query=query, body=change, content_type=MERGE)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete exactly the object with this UID, if it is still there."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._api.request("DELETE", resource.path(namespace, name), body=options)
        except (NotFound, Conflict):
            return

    async def list_all(self, resource: Resource, namespace: str | None) -> list[Object]:
        """All objects of a kind in a namespace, or in all (None)."""
        items: list[Object] = []
        query = {"limit": _PAGE}
        while True:
            page = await self._api.request("GET", resource.path(namespace), query=query)
            items += page.get("items") or []
            if not (token := page["metadata"].get("continue")):
                return items
            query["continue"] = token

    async def pods(self, namespace: str, label_selector: str) -> list[Object]:
        """The pods with these labels."""
        answer = await self._api.request("GET", PODS.path(namespace), query={"labelSelector": label_selector})
        items: list[Object] = answer.get("items") or []
        return items

    async def annotate_pod(self, namespace: str, name: str, annotations: dict[str, str]) -> None:
        """Set annotations of a pod, which makes its kubelet sync it (mounted Secrets included) at once."""
        body = {"metadata": {"annotations": annotations}}
        try:
            await self._api.request("PATCH", PODS.path(namespace, name), body=body, content_type=MERGE)
        except NotFound:
            return
