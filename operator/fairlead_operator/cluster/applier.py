"""Server-side apply of children: never over somebody else's object, and never without need."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead_operator.cluster.metadata import MetadataCache
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import DEPLOYMENTS, Resource, resource_of
from fairlead_operator.reconcile.metadata import Meta, Ownership, ownership


class NameTaken(Exception):
    """An object of the name exists and is somebody else's."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"The {kind} {name!r} exists already and does not belong to this object: delete or rename one of the two."
        )


class StillDeleting(Exception):
    """The child of an earlier object of this name is not gone yet."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"The {kind} {name!r} of an earlier object of this name is still being deleted: this one waits for its end."
        )


@dataclass(frozen=True)
class Claimant:
    """The object whose child is meant."""

    kind: str
    name: str
    uid: str
    label: str
    """The label that names it on its children."""

    def check(self, resource: Resource, existing: Meta) -> None:
        """Refuse what isn't its own.

        Raises:
            NameTaken: It is somebody else's.
            StillDeleting: It was an earlier object's, and is about to go.
        """
        match ownership(existing, self.kind, self.name, self.uid, self.label):
            case Ownership.FOREIGN:
                raise NameTaken(resource.kind, existing.name)
            case Ownership.OUTDATED:
                raise StillDeleting(resource.kind, existing.name)
            case Ownership.OURS | Ownership.ORPHANED:
                return


@dataclass(frozen=True)
class _Mark:
    """What was applied last, and how the object looked right afterwards."""

    digest: str
    meta: Meta


class Applier:
    """Applies manifests that are new, that changed, or whose object was changed by somebody since."""

    def __init__(self, objects: Objects, caches: Mapping[Resource, MetadataCache]) -> None:
        self._objects = objects
        self._caches = caches
        self._marks: dict[tuple[Resource, str, str], _Mark] = {}

    def gone(self, resource: Resource, meta: Meta) -> None:
        """Forget an object that was deleted."""
        key = (resource, meta.namespace, meta.name)
        mark = self._marks.get(key)
        if mark is not None and mark.meta.uid == meta.uid:
            del self._marks[key]

    async def apply(self, manifest: dict[str, Any], claimant: Claimant) -> dict[str, Any] | None:
        """Make the object as the manifest says.

        Returns:
            The object as it is now, None where nothing had to be done.

        Raises:
            NameTaken: An object of the name is somebody else's.
            StillDeleting: An earlier object's child has the name still.
            ApiError: The API server refused it; `Conflict` when another object has the name since a moment ago.
        """
        resource = resource_of(manifest)
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        key = (resource, namespace, name)
        digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        mark = self._marks.get(key)
        existing = self._caches[resource].get(namespace, name)
        if existing is None and mark is None:
            # The cache knows only what carries our label, and it lags a little: ask.
            found = await self._objects.get_metadata(resource, namespace, name)
            existing = Meta.of(found) if found is not None else None
        if existing is not None:
            claimant.check(resource, existing)
        if mark is not None and mark.digest == digest and not _changed(resource, mark.meta, existing):
            return None
        checked = existing or (mark.meta if mark is not None else None)
        # By its UID, so that an object of somebody else that took the name since then is not taken over.
        applied = await self._objects.apply(manifest, checked.uid if checked is not None else None)
        self._marks[key] = _Mark(digest, Meta.of(applied))
        return applied

    def has(self, resource: Resource, namespace: str, name: str, claimant: Claimant) -> bool:
        """Whether a child of the claimant exists."""
        existing = self._caches[resource].get(namespace, name)
        try:
            if existing is not None:
                claimant.check(resource, existing)
        except (NameTaken, StillDeleting):
            return False
        return existing is not None

    async def remove(self, resource: Resource, namespace: str, name: str, claimant: Claimant) -> None:
        """Delete a child that should not be; somebody else's object of that name stays."""
        existing = self._caches[resource].get(namespace, name)
        if existing is None or not self.has(resource, namespace, name, claimant):
            return
        await self._objects.delete(resource, namespace, name, existing.uid)
        self._marks.pop((resource, namespace, name), None)


def _changed(resource: Resource, applied: Meta, existing: Meta | None) -> bool:
    """Whether somebody changed the object after it was applied."""
    if existing is None or existing.version <= applied.version:
        # The cache has not caught up with what was applied.
        return False
    if existing.uid != applied.uid:
        return True
    if resource == DEPLOYMENTS:
        # Its status changes all the time; a generation counts changes of the spec.
        return (existing.generation, existing.labels, existing.owner) != (
            applied.generation,
            applied.labels,
            applied.owner,
        )
    return True
