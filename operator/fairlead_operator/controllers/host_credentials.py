"""The credentials that the operator makes for a host, whatever their type."""

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.controllers.generated_keys import GeneratedKeys
from fairlead_operator.controllers.host_certificates import HostCertificateSecrets, Use
from fairlead_operator.controllers.store import Store
from fairlead_operator.reconcile.host_credentials import HostCredentials
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.objects import Host, Key
from fairlead_operator.reconcile.observed import SidecarView


class HostCredentialsKeeper:
    """Brings the Secret with a host's own credentials to where it should be."""

    def __init__(self, store: Store, keys: GeneratedKeys, certificates: HostCertificateSecrets) -> None:
        self._store = store
        self._keys = keys
        self._certificates = certificates

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        self._keys.gone(meta)
        self._certificates.gone(meta)

    def forget(self, host: Key) -> None:
        """The host is gone."""
        self._certificates.forget(host)

    async def obtain(self, host: Host, spec: RemoteHostSpec, view: SidecarView) -> HostCredentials | None:
        """What the host's own Secret holds; None: it is the user's.

        Args:
            host: The RemoteHost.
            spec: Its spec.
            view: What its sidecar says, and so which key the host lets in.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it.
        """
        accepted = _accepted(view)
        if spec.auth.certificate is not None:
            return await self._certificates.obtain(host, spec, spec.auth.certificate, self._use(host, spec), accepted)
        await self._certificates.leave(host)
        if spec.auth.generated is None:
            return None
        state = await self._keys.obtain(host, spec.auth.generated, accepted)
        return HostCredentials(public_key=state.public, next_public_key=state.next_public)

    def _use(self, host: Host, spec: RemoteHostSpec) -> Use:
        behind = any(self._store.host(key) is not None for key in self._store.behind(host.key))
        over_network = any(server.stdio is None for server in spec.mcp_servers or ())
        return Use(login=self._store.logs_in(host, spec), passage=behind or over_network)


def _accepted(view: SidecarView) -> str | None:
    if view.statusz is None or not view.answering or view.outdated_since is not None:
        return None
    return view.statusz.link.login_key_fingerprint
