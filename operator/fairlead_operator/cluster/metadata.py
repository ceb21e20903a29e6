"""A watched cache of objects' metadata: what exists, whose it is and whether it changed, without its content."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable

from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError, Gone, NotFound
from fairlead_operator.cluster.resources import Resource
from fairlead_operator.reconcile.metadata import Meta

logger = logging.getLogger(__name__)

_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_EVENT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PAGE = "500"
_WATCH_SECONDS = 300
_RETRY_SECONDS = 1.0
_ABSENT_SECONDS = 10.0
"""After how many seconds to look again for a kind that the cluster does not serve."""

Changed = Callable[[Meta], None]


class MetadataWatch:
    """The metadata of one kind of objects, in one namespace or in all (`namespace` None)."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        namespace: str | None,
        label_selector: str | None,
        changed: Changed,
        *,
        optional: bool = False,
    ) -> None:
        self._api = api
        self._optional = optional
        self.served = False
        """Whether the cluster serves the kind, as far as is known."""
        self._resource = resource
        self._path = resource.path(namespace)
        self._selector = {"labelSelector": label_selector} if label_selector else {}
        self._changed = changed
        self._objects: dict[tuple[str, str], Meta] = {}
        self.synced = asyncio.Event()
        """Set once everything has been listed."""

    def get(self, namespace: str, name: str) -> Meta | None:
        """One object's metadata as last seen, None where there is none."""
        return self._objects.get((namespace, name))

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        while True:
            try:
                await self._follow(await self._list())
            except Gone:
                continue
            except NotFound as error:
                if not self._optional:
                    await self._failed(error)
                    continue
                self.served = False
                self._replace({})
                await asyncio.sleep(_ABSENT_SECONDS)
            except ApiError as error:
                await self._failed(error)

    async def _failed(self, error: ApiError) -> None:
        logger.warning("watching %s failed, listing anew: %s", self._resource.plural, error)
        await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret

    async def _list(self) -> str:
        found: dict[tuple[str, str], Meta] = {}
        query = {**self._selector, "limit": _PAGE}
        while True:
            page = await self._api.request("GET", self._path, query=query, accept=_LIST)
            for meta in map(Meta.of, page.get("items") or ()):
                found[meta.namespace, meta.name] = meta
            if not (token := page["metadata"].get("continue")):
                break
            query["continue"] = token
        self.served = True
        self._replace(found)
        version: str = page["metadata"]["resourceVersion"]
        return version

    def _replace(self, found: dict[tuple[str, str], Meta]) -> None:
        before, self._objects = self._objects, found
        self.synced.set()
        for key, meta in found.items():
            if before.get(key) != meta:
                self._changed(meta)
        for key, meta in before.items():
            if key not in found:
                self._changed(meta)

    async def _follow(self, version: str) -> None:
        while True:
            query = {
                **self._selector,
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WATCH_SECONDS),
            }
            begun = time.monotonic()
            async for event in self._api.watch(self._path, query, _EVENT, silence=_WATCH_SECONDS + 10):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], Meta.of(event["object"]))
            if time.monotonic() - begun < _RETRY_SECONDS:
                # Something in between ends watches at once.
                await asyncio.sleep(_RETRY_SECONDS)

    def _take(self, kind: str, meta: Meta) -> None:
        key = (meta.namespace, meta.name)
        if kind == "DELETED":
            self._objects.pop(key, None)
        else:
            self._objects[key] = meta
        self._changed(meta)


class MetadataCache:
    """The metadata of one kind in all the namespaces that are served."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        namespaces: Iterable[str],
        label_selector: str | None,
        changed: Changed,
        *,
        optional: bool = False,
    ) -> None:
        """Make a cache.

        Args:
            api: The API server.
            resource: The kind.
            namespaces: Those that are served; empty: all.
            label_selector: What counts; None: everything.
            changed: Called for each object that is new, another or gone.
            optional: Whether the cluster may not know the kind; then there are none until it does.
        """
        scopes: list[str | None] = [*namespaces]
        self._watches = {
            scope: MetadataWatch(api, resource, scope, label_selector, changed, optional=optional)
            for scope in scopes or [None]
        }

    @property
    def served(self) -> bool:
        """Whether the cluster serves the kind, as far as is known."""
        return all(watch.served for watch in self._watches.values())

    def get(self, namespace: str, name: str) -> Meta | None:
        """One object's metadata as last seen, None where there is none (or its namespace isn't served)."""
        watch = self._watches.get(namespace) or self._watches.get(None)
        return watch.get(namespace, name) if watch else None

    async def wait_synced(self) -> None:
        """Return once everything has been listed."""
        for watch in self._watches.values():
            await watch.synced.wait()

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches.values():
                tasks.create_task(watch.run())
