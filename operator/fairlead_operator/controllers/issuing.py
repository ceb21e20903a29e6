"""Certificates for hosts: who can sign, and signing."""

from dataclasses import dataclass
from datetime import datetime

from fairlead_api.conditions import HostReason
from fairlead_operator.credentials.certificates import CertificateRequest
from fairlead_operator.reconcile.objects import Host, Key


class AuthorityUnavailable(Exception):
    """An authority can't sign, and will not by itself; `reason` and `message` are for the host's CredentialsReady."""

    def __init__(self, reason: HostReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Signers:
    """An authority's keys, by their fingerprints (`SHA256:…`)."""

    active: str
    next: str | None
    """While a rotation is under way: the key that is to follow."""


@dataclass(frozen=True)
class Issued:
    """A new certificate."""

    certificate: str
    """OpenSSH's one-line format."""
    serial: int
    expires: datetime
    authority: str
    """The fingerprint of the key that signed it."""


class Authorities:
    """All authorities, as hosts use them."""

    async def signers(self, key: Key) -> Signers:
        """The keys of an authority.

        Raises:
            AuthorityUnavailable: It does not exist, or has no key that can be used.
            ApiError: The API server did not tell.
        """
        raise NotImplementedError

    async def issue(self, key: Key, signer: str, host: Host, request: CertificateRequest) -> Issued:
        """Sign. The serial is on record before this returns, so that the certificate can be revoked whatever happens.

        Args:
            key: The authority.
            signer: The fingerprint of the one of its keys that is to sign.
            host: For whom.
            request: What the certificate is to say.

        Raises:
            AuthorityUnavailable: The authority can't sign, or has no such key (any more).
            ApiError: The serial could not be put on record.
        """
        raise NotImplementedError
