"""The Secret that carries a host's configuration: written, and read where it is the last one that can be had."""

import base64
import binascii

from pydantic import ValidationError

from fairlead_operator.cluster.applier import Applier, Claimant, NameTaken, StillDeleting
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.reconcile.host_config import config_secret
from fairlead_operator.reconcile.labels import HOST_LABEL
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import child_name
from fairlead_operator.reconcile.objects import Host
from fairlead_sidecar.config import CONFIG_KEY, SidecarConfig, digest


def claimant_of(host: Host) -> Claimant:
    """The host as the owner of its children."""
    return Claimant("RemoteHost", host.key.name, host.uid, HOST_LABEL)


class Configurations:
    """Writes and reads configurations."""

    def __init__(self, objects: Objects, applier: Applier) -> None:
        self._objects = objects
        self._applier = applier

    async def write(self, host: Host, config: SidecarConfig) -> str:
        """Make this the host's configuration.

        Returns:
            Its digest.

        Raises:
            NameTaken: The Secret is somebody else's.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it.
        """
        rendered = config.render()
        await self._applier.apply(config_secret(host, rendered), claimant_of(host))
        return digest(rendered)

    async def present(self, host: Host) -> SidecarConfig | None:
        """The configuration that was written last; None where there is none, or none of this host that can be read.

        Raises:
            ApiError: The API server did not give it.
        """
        secret = await self._objects.get(SECRETS, host.key.namespace, child_name(host.key.name))
        if secret is None:
            return None
        try:
            claimant_of(host).check(SECRETS, Meta.of(secret))
            text = base64.b64decode((secret.get("data") or {}).get(CONFIG_KEY, ""), validate=True)
            config = SidecarConfig.parse(text)
        except (NameTaken, StillDeleting, binascii.Error, ValidationError):
            return None
        return config if config.instance == host.uid else None
