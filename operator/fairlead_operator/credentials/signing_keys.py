"""The Secret with the keys that sign JSON Web Tokens: made when the first such token is wanted, and tended since."""

import base64
import binascii
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fairlead_operator.cluster.errors import Conflict, Forbidden, Invalid, NotFound
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.permissions import SIGNING_KEYS_NAME
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.credentials.key_set import KeySet, first_keys, renewed
from fairlead_operator.reconcile.labels import MANAGED_BY, MANAGER
from fairlead_operator.reconcile.token_rotation import ROTATE_ANNOTATION

logger = logging.getLogger(__name__)

DATA_KEY = "jwks.json"


class SigningKeysUnavailable(Exception):
    """There are no keys, and a person has to do something about it."""


@dataclass(frozen=True)
class _Found:
    keys: KeySet
    uid: str
    version: str
    request: str


class SigningKeys:
    """Knows the keys; another process may change them at any time, and none of them gets lost in that."""

    def __init__(self, objects: Objects, namespace: str, changed: Callable[[], None]) -> None:
        """Make one.

        Args:
            objects: Reads and writes.
            namespace: The operator's own.
            changed: Called when the keys are others than before.
        """
        self._objects = objects
        self._namespace = namespace
        self._changed = changed
        self.present: KeySet | None = None
        """The keys as they were seen last; None: nobody wanted any yet."""

    def public(self) -> tuple[dict[str, str], ...]:
        """The public halves, the youngest first."""
        return tuple(key.public_jwk() for key in self.present.keys) if self.present is not None else ()

    async def obtain(self) -> KeySet:
        """The keys; they are read, or made, when this is asked for the first time.

        Raises:
            SigningKeysUnavailable: They can't be read or made, and a person has to mend that.
            ApiError: The API server did not answer.
        """
        return self.present or (await self._load()).keys

    async def tend(self, in_use: Collection[str] | None) -> None:
        """Take note of changes by others, let another key take over where it is time, and drop what nothing needs.

        Args:
            in_use: The names of the keys of all tokens that still work; None: not known yet.

        Raises:
            SigningKeysUnavailable: As above.
            ApiError: As above.
        """
        found = await self._load()
        wanted = renewed(found.keys, found.request, in_use, datetime.now(UTC))
        if wanted == found.keys:
            return
        manifest = self._manifest(wanted)
        manifest["metadata"]["resourceVersion"] = found.version
        try:
            await self._objects.apply(manifest, found.uid)
        except Conflict:
            # Somebody else was faster: what they wrote counts, and is looked at next time.
            return
        if wanted.signing != found.keys.signing:
            logger.info("another key signs tokens from now on: %s", wanted.signing.kid)
        self._take(wanted)

    async def _load(self) -> _Found:
        try:
            for _ in range(2):
                secret = await self._objects.get(SECRETS, self._namespace, SIGNING_KEYS_NAME)
                if secret is not None:
                    found = self._read(secret)
                    self._take(found.keys)
                    return found
                try:
                    await self._objects.create(self._manifest(first_keys(datetime.now(UTC))))
                except Conflict:
                    continue
        except (Forbidden, Invalid, NotFound) as error:
            raise SigningKeysUnavailable(f"The API server refused {self._name}: {error.message}") from error
        raise SigningKeysUnavailable(f"{self._name} can neither be read nor created.")

    def _take(self, keys: KeySet) -> None:
        before, self.present = self.present, keys
        if before is not None and before != keys:
            self._changed()

    def _read(self, secret: dict[str, Any]) -> _Found:
        metadata = secret["metadata"]
        try:
            text = base64.b64decode((secret.get("data") or {}).get(DATA_KEY, ""), validate=True).decode()
            keys = KeySet.parse(text)
        except (binascii.Error, ValueError) as error:
            raise SigningKeysUnavailable(
                f"{self._name} holds no usable keys under {DATA_KEY!r}: delete it, and new ones are made; all JWTs are"
                " made anew then."
            ) from error
        request = (metadata.get("annotations") or {}).get(ROTATE_ANNOTATION, "")
        return _Found(keys, metadata["uid"], metadata["resourceVersion"], request)

    @property
    def _name(self) -> str:
        return f"the Secret {self._namespace}/{SIGNING_KEYS_NAME}"

    def _manifest(self, keys: KeySet) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": SIGNING_KEYS_NAME,
                "namespace": self._namespace,
                "labels": {"app.kubernetes.io/name": "fairlead", MANAGED_BY: MANAGER},
            },
            "type": "Opaque",
            "data": {DATA_KEY: base64.b64encode(keys.render().encode()).decode()},
        }
