"""Secrets whose content the operator makes once and keeps: tokens and generated keys."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from fairlead_operator.cluster.applier import Claimant
from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.reconcile.metadata import Meta

Value = TypeVar("Value")


class SecretMetadata(Protocol):
    """The part of the metadata cache that is needed here."""

    def get(self, namespace: str, name: str) -> Meta | None:
        """One Secret's metadata."""


@dataclass(frozen=True)
class Wanted(Generic[Value]):
    """One Secret as it should be."""

    claimant: Claimant
    key: str
    """The Secret's key that holds the text."""
    read: Callable[[str], Value | None]
    """What the text stands for; None where it is no usable text."""
    make: Callable[[], Awaitable[str]]
    """A new text."""
    manifest: Callable[[str], dict[str, Any]]
    """The Secret that holds a text."""


@dataclass(frozen=True)
class _Record(Generic[Value]):
    owner: tuple[str, str]
    version: int
    secret_uid: str
    value: Value


class NotWritten(Exception):
    """A Secret could not be written. `value` is what it stands for as it is; None where it holds nothing usable."""

    def __init__(self, value: Any, cause: ApiError) -> None:
        super().__init__(str(cause))
        self.value = value
        self.cause = cause


class OwnedSecrets(Generic[Value]):
    """Knows what each Secret stands for, and reads one again only when it changed. The texts are not kept."""

    def __init__(self, objects: Objects, metadata: SecretMetadata) -> None:
        self._objects = objects
        self._metadata = metadata
        self._records: dict[tuple[str, str], _Record[Value]] = {}

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        record = self._records.get((meta.namespace, meta.name))
        if record is not None and record.secret_uid == meta.uid:
            del self._records[meta.namespace, meta.name]

    async def obtain(self, namespace: str, name: str, wanted: Wanted[Value], shape: str = "") -> Value:
        """What the Secret stands for; it is made, mended or adopted as needed.

        Args:
            namespace: Where it is.
            name: Its name.
            wanted: What it should be.
            shape: Changes when the manifest does for another reason than its text.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: An earlier object's Secret has it still.
            NotWritten: The API server refused to write it.
            ApiError: The API server did not give it.
        """
        owner = (wanted.claimant.uid, shape)
        record = self._records.get((namespace, name))
        existing = self._metadata.get(namespace, name)
        unchanged = existing is None or (record is not None and existing.version <= record.version)
        if record is not None and record.owner == owner and unchanged:
            return record.value
        text, uid = await self._present(namespace, name, wanted)
        present = value = wanted.read(text) if text is not None else None
        if text is None or value is None:
            text = await wanted.make()
            value = wanted.read(text)
            if value is None:
                raise RuntimeError("a new credential can't be read back")
        try:
            applied = Meta.of(await self._objects.apply(wanted.manifest(text), uid))
        except ApiError as error:
            raise NotWritten(present, error) from error
        self._records[namespace, name] = _Record(owner, applied.version, applied.uid, value)
        return value

    async def _present(self, namespace: str, name: str, wanted: Wanted[Value]) -> tuple[str | None, str | None]:
        """The text in the Secret and the Secret's UID, None for what there is not."""
        secret = await self._objects.get(SECRETS, namespace, name)
        if secret is None:
            return None, None
        meta = Meta.of(secret)
        wanted.claimant.check(SECRETS, meta)
        try:
            text = base64.b64decode((secret.get("data") or {}).get(wanted.key, ""), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None, meta.uid
        return text, meta.uid
