"""Which host holds which certificates: filled by the hosts' controller, read by the authorities'."""

from collections.abc import Callable, Iterable

from fairlead_operator.reconcile.issued import HostCertificates
from fairlead_operator.reconcile.objects import Key


class IssuedCertificates:
    """The certificates of all hosts that were looked at since the start."""

    def __init__(
        self, authority_changed: Callable[[Key], None], authorities: Callable[[str], Iterable[Key]] = lambda _: ()
    ) -> None:
        """Make an empty register.

        Args:
            authority_changed: Called with each authority whose hosts' certificates are others than before.
            authorities: All authorities of a namespace.
        """
        self._authority_changed = authority_changed
        self._authorities = authorities
        self._hosts: dict[Key, HostCertificates] = {}

    def get(self, host: Key) -> HostCertificates | None:
        """What a host holds; None: nobody has looked yet."""
        return self._hosts.get(host)

    def put(self, host: Key, certificates: HostCertificates) -> None:
        """Say what a host holds, be it nothing."""
        before = self._hosts.get(host)
        if before == certificates:
            return
        self._hosts[host] = certificates
        self._tell(host, before, certificates)

    def remove(self, host: Key) -> None:
        """Forget a host that is gone."""
        self._tell(host, self._hosts.pop(host, None), None)

    def _tell(self, host: Key, before: HostCertificates | None, after: HostCertificates | None) -> None:
        present = [some for some in (before, after) if some is not None]
        concerned = {Key(host.namespace, some.authority) for some in present if some.authority}
        left = set(after.issued) if after is not None else set()
        if before is not None and not left.issuperset(before.issued):
            # What is held no more may have been signed by an authority that the host had earlier.
            concerned.update(self._authorities(host.namespace))
        for authority in concerned:
            self._authority_changed(authority)
