"""Generated SSH keys in their Secrets."""

import asyncio
import base64
from functools import partial
from typing import Any

from fairlead_api.auth import DeletionPolicy, GeneratedAuth
from fairlead_api.base import API_VERSION
from fairlead_operator.cluster.applier import Claimant
from fairlead_operator.credentials.keys import PRIVATE_KEY, generate_key_pair, public_line
from fairlead_operator.credentials.owned import NotWritten, OwnedSecrets, Wanted
from fairlead_operator.reconcile.labels import HOST_LABEL, host_labels
from fairlead_operator.reconcile.names import generated_key_name
from fairlead_operator.reconcile.objects import Host

PUBLIC_KEY = "ssh-publickey"


class GeneratedKeys:
    """Makes keys and knows their public halves."""

    def __init__(self, secrets: OwnedSecrets[str]) -> None:
        self._secrets = secrets

    async def obtain(self, host: Host, auth: GeneratedAuth) -> str:
        """The public half of the host's key, which is generated where there is none.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it.
        """
        comment = f"fairlead:{host.key}"

        def read(private: str) -> str | None:
            try:
                return public_line(private, comment)
            except ValueError:
                return None

        async def make() -> str:
            return (await asyncio.to_thread(generate_key_pair, auth.algorithm, comment)).private

        wanted = Wanted(
            claimant=Claimant("RemoteHost", host.key.name, host.uid, HOST_LABEL),
            key=PRIVATE_KEY,
            read=read,
            make=make,
            manifest=partial(_manifest, host, auth, comment),
        )
        name = generated_key_name(host.key.name)
        try:
            return await self._secrets.obtain(host.key.namespace, name, wanted, shape=auth.deletion_policy)
        except NotWritten as failure:
            raise failure.cause from failure


def _manifest(host: Host, auth: GeneratedAuth, comment: str, private: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": generated_key_name(host.key.name),
        "namespace": host.key.namespace,
        "labels": host_labels(host.key.name, component="ssh-key"),
    }
    if auth.deletion_policy is DeletionPolicy.DELETE:
        metadata["ownerReferences"] = [host.owner_reference("RemoteHost", API_VERSION)]
    data = {PRIVATE_KEY: private, PUBLIC_KEY: public_line(private, comment)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
