"""The key from which the operator's own credential for each host is derived."""

import base64
import binascii
import secrets

from fairlead_operator.cluster.errors import Conflict
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.permissions import PROBE_KEY_NAME
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.reconcile.labels import MANAGED_BY, MANAGER

DATA_KEY = "key"
KEY_BYTES = 32


class ProbeKeyInvalid(Exception):
    """The Secret with the probe key holds something else."""


async def probe_key(objects: Objects, namespace: str) -> bytes:
    """The probe key; it is made on the very first start.

    Raises:
        ProbeKeyInvalid: The Secret does not hold one.
        ApiError: The API server refused it.
    """
    for _ in range(2):
        existing = await objects.get(SECRETS, namespace, PROBE_KEY_NAME)
        if existing is not None:
            return _decode(existing.get("data") or {}, namespace)
        key = secrets.token_bytes(KEY_BYTES)
        try:
            await objects.create(_manifest(namespace, key))
        except Conflict:
            continue
        return key
    raise ProbeKeyInvalid(f"the Secret {namespace}/{PROBE_KEY_NAME} can neither be read nor created")


def _decode(data: dict[str, str], namespace: str) -> bytes:
    try:
        key = base64.b64decode(data.get(DATA_KEY, ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < KEY_BYTES:
        raise ProbeKeyInvalid(
            f"the Secret {namespace}/{PROBE_KEY_NAME} holds no key of {KEY_BYTES} bytes under {DATA_KEY!r}: delete it,"
            " and a new one is made"
        )
    return key


def _manifest(namespace: str, key: bytes) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": PROBE_KEY_NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "fairlead", MANAGED_BY: MANAGER},
        },
        "type": "Opaque",
        "data": {DATA_KEY: base64.b64encode(key).decode()},
    }
