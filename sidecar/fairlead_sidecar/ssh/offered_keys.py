"""The keys that one login offers, one after the other, and which of them the server accepted."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncssh
from asyncssh.public_key import SSHLocalKeyPair
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from fairlead_sidecar.ssh.credentials import ClientKey


@dataclass(frozen=True, slots=True)
class AcceptedKey:
    """What a server accepted, by which one login is told from another."""

    fingerprint: str
    """`SHA256:…` of the public key, or of the one that was certified."""
    certificate_serial: int | None
    """None: the key was accepted by itself."""


class _KeyPair(SSHLocalKeyPair):
    """Notes that it signed, which is only asked of a key that the server said it would accept (RFC 4252, section 7)."""

    def __init__(self, offered: ClientKey) -> None:
        key, certificate = (offered, None) if isinstance(offered, asyncssh.SSHKey) else offered
        super().__init__(key, None, certificate, None)
        self.offered = offered
        self.signed = False

    def sign(self, data: bytes) -> bytes:
        self.signed = True
        return super().sign(data)


class OfferedKeys:
    """Hands out keys whenever the server still wants one."""

    def __init__(self, keys: Sequence[ClientKey]) -> None:
        self._left = list(keys)
        self._last: _KeyPair | None = None

    def next(self) -> asyncssh.SSHKeyPair | None:
        """The next key to try; None: there is none left, and none was accepted."""
        self._last = _KeyPair(self._left.pop(0)) if self._left else None
        return self._last

    @property
    def accepted(self) -> AcceptedKey | None:
        """Once the login has succeeded: what it succeeded with; None: without a key of these."""
        # A server that accepts a key asks for no other.
        return accepted(self._last.offered) if self._last is not None and self._last.signed else None


def accepted(key: ClientKey) -> AcceptedKey:
    """What it is called when a server has accepted this key."""
    if isinstance(key, asyncssh.SSHKey):
        return AcceptedKey(key.get_fingerprint(), None)
    bare, certificate = key
    return AcceptedKey(bare.get_fingerprint(), _serial(certificate))


def _serial(certificate: asyncssh.SSHCertificate) -> int | None:
    # asyncssh does not tell it.
    try:
        identity = load_ssh_public_identity(certificate.export_certificate().strip())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return identity.serial if isinstance(identity, SSHCertificate) else None
