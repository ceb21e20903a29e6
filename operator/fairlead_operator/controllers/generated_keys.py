"""Generated SSH keys in their Secrets: made once, replaced on request once the host has accepted the successor."""

import asyncio
from functools import partial

from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from fairlead_api.auth import DeletionPolicy, GeneratedAuth
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.host_secrets import Data, HostSecrets, Shape
from fairlead_operator.credentials.keys import NEXT_PRIVATE_KEY, PRIVATE_KEY, generate_key_pair, public_line
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.credentials.public_keys import fingerprint
from fairlead_operator.reconcile.key_rotation import REQUEST, KeyState, KeyStep, next_step, requested
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import generated_key_name
from fairlead_operator.reconcile.objects import Host

PUBLIC_KEY = "ssh-publickey"
NEXT_PUBLIC_KEY = "next-ssh-publickey"


class GeneratedKeys:
    """Makes keys and knows their public halves."""

    def __init__(self, objects: Objects, metadata: SecretMetadata) -> None:
        self._secrets: HostSecrets[KeyState] = HostSecrets(objects, metadata)

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        self._secrets.gone(meta)

    async def obtain(self, host: Host, auth: GeneratedAuth, accepted: str | None) -> KeyState:
        """The host's key, which is generated where there is none, and its successor where one was asked for.

        Args:
            host: The RemoteHost.
            auth: What kind of key.
            accepted: `SHA256:…` of the key that the host let in last; None: unknown.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it.
        """
        comment = f"fairlead:{host.key}"
        request = requested(host)
        shape = Shape(generated_key_name(host.key.name), "ssh-key", owned=auth.deletion_policy is DeletionPolicy.DELETE)
        read = partial(_read, comment=comment)

        async def new_key() -> str:
            return (await asyncio.to_thread(generate_key_pair, auth.algorithm, comment)).private

        async def change(content: Data) -> Data:
            state = read(content)
            match next_step(state, request, accepted):
                case KeyStep.KEEP:
                    return content
                case KeyStep.MAKE:
                    return _content(await new_key(), None, request, comment)
                case KeyStep.ADD_NEXT:
                    return _content(content[PRIVATE_KEY], await new_key(), request, comment)
                case KeyStep.PROMOTE:
                    return _content(content[NEXT_PRIVATE_KEY], None, state.request, comment)

        def settled(state: KeyState) -> bool:
            return next_step(state, request, accepted) is KeyStep.KEEP

        return await self._secrets.bring(host, shape, read=read, settled=settled, change=change)


def _content(private: str, following: str | None, request: str, comment: str) -> Data:
    content = {PRIVATE_KEY: private, PUBLIC_KEY: public_line(private, comment)}
    if following is not None:
        content |= {NEXT_PRIVATE_KEY: following, NEXT_PUBLIC_KEY: public_line(following, comment)}
    return content | ({REQUEST: request} if request else {})


def _read(content: Data, *, comment: str) -> KeyState:
    public = _public(content.get(PRIVATE_KEY), comment)
    following = _public(content.get(NEXT_PRIVATE_KEY), comment)
    return KeyState(
        public=public,
        next_public=following,
        next_fingerprint=fingerprint(load_ssh_public_key(following.encode())) if following is not None else None,
        request=content.get(REQUEST, ""),
    )


def _public(private: str | None, comment: str) -> str | None:
    try:
        return public_line(private, comment) if private is not None else None
    except ValueError:
        return None
