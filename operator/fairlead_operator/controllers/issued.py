"""Which host holds which certificates: filled by the hosts' controller, read by the authorities'."""

from collections.abc import Callable

from fairlead_operator.reconcile.issued import HostCertificates
from fairlead_operator.reconcile.objects import Key


class IssuedCertificates:
    """The certificates of all hosts that were looked at since the start."""

    def __init__(self, authority_changed: Callable[[Key], None]) -> None:
        """Make an empty register.

        Args:
            authority_changed: Called with each authority whose hosts' certificates are others than before.
        """
        self._authority_changed = authority_changed
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
        self._tell(host, self._hosts.pop(host, None))

    def _tell(self, host: Key, *concerned: HostCertificates | None) -> None:
        for name in {some.authority for some in concerned if some is not None and some.authority}:
            self._authority_changed(Key(host.namespace, name))
