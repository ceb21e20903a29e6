"""An object's metadata, and whose object it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fairlead_operator.reconcile.labels import MANAGED_BY, MANAGER


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller in an object's owner references."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Meta:
    """What the operator needs to know of an object that it does not read in full."""

    namespace: str
    name: str
    uid: str
    version: int
    """resourceVersion; larger is newer for objects of one kind."""
    generation: int
    """0 where the kind has none."""
    labels: Mapping[str, str]
    """Only those of objects that carry our `managed-by`; empty for all others, of which there may be many."""
    owner: Owner | None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Meta":
        """Read an object's `metadata`."""
        metadata = body["metadata"]
        labels = metadata.get("labels") or {}
        controller = next((ref for ref in metadata.get("ownerReferences") or () if ref.get("controller")), None)
        return cls(
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            version=int(metadata["resourceVersion"]),
            generation=metadata.get("generation", 0),
            labels=dict(labels) if labels.get(MANAGED_BY) == MANAGER else {},
            owner=Owner(controller["kind"], controller["name"], controller["uid"]) if controller else None,
        )


class Ownership(Enum):
    """Whose an existing object of a child's name is."""

    OURS = "ours"
    ORPHANED = "orphaned"
    """Ours by its labels, without any owner, as after a restore: it is adopted."""
    OUTDATED = "outdated"
    """It belonged to an earlier object of the same name; the garbage collector is about to remove it."""
    FOREIGN = "foreign"


def ownership(child: Meta, kind: str, name: str, uid: str, label: str) -> Ownership:
    """Whose `child` is, seen from the object `kind`/`name` with this UID.

    Args:
        child: An existing object of the name that a child has.
        kind: The kind of the would-be owner.
        name: Its name.
        uid: Its UID.
        label: The label that names the owner on its children.
    """
    if child.owner is None:
        return Ownership.ORPHANED if child.labels.get(label) == name else Ownership.FOREIGN
    if child.owner.uid == uid:
        return Ownership.OURS
    same = child.owner.kind == kind and child.owner.name == name and child.labels.get(label) == name
    return Ownership.OUTDATED if same else Ownership.FOREIGN
