"""The Secrets in which the operator keeps credentials of hosts: read when they changed, written where they must."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fairlead_api.base import API_VERSION
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.controllers.configuration import claimant_of
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.reconcile.labels import host_labels
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.objects import Host

State = TypeVar("State")

Data = Mapping[str, str]
"""A Secret's content, decoded; what is no text is left out."""


@dataclass(frozen=True)
class Shape:
    """One Secret apart from its content."""

    name: str
    component: str
    """The label that says what it is."""
    owned: bool = True
    """Whether it goes with the host."""

    def metadata(self, host: Host) -> dict[str, Any]:
        """The metadata that it should have."""
        return {
            "labels": host_labels(host.key.name, component=self.component),
            "ownerReferences": [host.owner_reference("RemoteHost", API_VERSION)] if self.owned else None,
        }

    def fits(self, meta: Meta, host: Host) -> bool:
        """Whether it has that metadata."""
        owner = meta.owner.uid if meta.owner is not None else None
        labels = host_labels(host.key.name, component=self.component)
        return owner == (host.uid if self.owned else None) and labels.items() <= meta.labels.items()


@dataclass(frozen=True)
class _Record(Generic[State]):
    host_uid: str
    shape: Shape
    uid: str
    version: int
    state: State


class HostSecrets(Generic[State]):
    """Knows what each Secret stands for; the secrets themselves are not kept."""

    def __init__(self, objects: Objects, metadata: SecretMetadata) -> None:
        self._objects = objects
        self._metadata = metadata
        self._records: dict[tuple[str, str], _Record[State]] = {}

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        record = self._records.get((meta.namespace, meta.name))
        if record is not None and record.uid == meta.uid:
            del self._records[meta.namespace, meta.name]

    async def bring(
        self,
        host: Host,
        shape: Shape,
        *,
        read: Callable[[Data], State],
        settled: Callable[[State], bool],
        change: Callable[[Data], Awaitable[Data]],
    ) -> State:
        """Bring a Secret to where it should be; it is made or adopted as needed.

        Args:
            host: Whose it is.
            shape: What it is.
            read: What a content stands for.
            settled: Whether nothing has to change.
            change: From the content that there is, empty where there is none, to the one that should be.

        Returns:
            What it stands for afterwards.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it, or somebody else wrote at the same time.
        """
        namespace, name = host.key.namespace, shape.name
        record, existing = self._records.get((namespace, name)), self._metadata.get(namespace, name)
        fresh = existing is None or (record is not None and existing.version <= record.version)
        same = record is not None and (record.host_uid, record.shape) == (host.uid, shape)
        if record is not None and same and fresh and settled(record.state):
            return record.state
        if existing is not None:
            # Before it is read: what is in somebody else's Secret is none of our business.
            claimant_of(host).check(SECRETS, existing)
        secret = await self._objects.get(SECRETS, namespace, name)
        if secret is not None:
            claimant_of(host).check(SECRETS, Meta.of(secret))
        present = _decoded((secret or {}).get("data") or {})
        wanted = await change(present)
        if secret is None:
            secret = await self._objects.create(_manifest(host, shape, wanted))
        elif wanted != present or not shape.fits(Meta.of(secret), host):
            secret = await self._objects.merge(SECRETS, namespace, name, _patch(host, shape, secret, wanted))
        meta, state = Meta.of(secret), read(wanted)
        self._records[namespace, name] = _Record(host.uid, shape, meta.uid, meta.version, state)
        return state


def _manifest(host: Host, shape: Shape, content: Data) -> dict[str, Any]:
    metadata = {key: value for key, value in shape.metadata(host).items() if value is not None}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": shape.name, "namespace": host.key.namespace, **metadata},
        "type": "Opaque",
        "data": _encoded(content),
    }


def _patch(host: Host, shape: Shape, secret: Mapping[str, Any], content: Data) -> dict[str, Any]:
    """Whatever else the Secret holds goes: a key that was replaced must be nowhere any more."""
    nothing = dict.fromkeys(secret.get("data") or {})
    version = {"resourceVersion": secret["metadata"]["resourceVersion"]}
    return {"metadata": shape.metadata(host) | version, "data": nothing | _encoded(content)}


def _encoded(content: Data) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    content = {}
    for key, value in data.items():
        try:
            content[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            content[key] = ""
    return content
