"""Host keys that are pinned when they are seen first, in Secrets, and what people decide about others."""

from collections.abc import Sequence

from fairlead_api.auth import DeletionPolicy
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.host_secrets import Data, HostSecrets, Shape
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.reconcile.host_keys import HostKeyState, fingerprint, judge, refused_key
from fairlead_operator.reconcile.jumps import Hop
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import host_key_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.observed import SidecarView

HOST_KEY = "ssh-hostkey"
"""The Secret's key that holds the pin."""


class HostKeyPins:
    """Keeps pins, and says what holds for a host's key."""

    def __init__(self, objects: Objects, metadata: SecretMetadata, store: Store) -> None:
        self._secrets: HostSecrets[str | None] = HostSecrets(objects, metadata)
        self._store = store

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        self._secrets.gone(meta)

    async def obtain(self, host: Host, spec: RemoteHostSpec, hops: Sequence[Hop], view: SidecarView) -> HostKeyState:
        """What holds for a host's key; one that is seen first is pinned.

        Args:
            host: The RemoteHost.
            spec: Its spec.
            hops: The servers on the way to it.
            view: What its sidecar says.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it.
        """
        current = view.statusz is not None and view.answering and view.outdated_since is None
        link = view.statusz.link if view.statusz is not None and current else None
        others = [found for key in self._store.behind(host.key) if (found := self._store.host(key)) is not None]
        seen = [line for other in others if (line := refused_key(other.status)) is not None]

        def judged(pin: str | None) -> HostKeyState:
            return judge(host, spec.host_key, hops, pin=pin, link=link, seen_by_others=seen)

        policy = spec.host_key.trust_on_first_use
        if policy is None:
            return judged(None)

        def chosen(pin: str | None) -> str | None:
            # Whoever deletes the Secret must not make the next key that comes along a trusted one.
            return judged(pin or host.status.get("pinnedHostKey")).pin

        async def change(content: Data) -> Data:
            pin = chosen(_read(content))
            return {} if pin is None else {HOST_KEY: pin}

        shape = Shape(host_key_name(host.key.name), "host-key", owned=policy.deletion_policy is DeletionPolicy.DELETE)
        pin = await self._secrets.bring(host, shape, read=_read, settled=lambda pin: pin == chosen(pin), change=change)
        return judged(pin)


def _read(content: Data) -> str | None:
    """The pin; a text that is no key counts as none."""
    line = content.get(HOST_KEY, "").strip()
    return line if fingerprint(line) else None
