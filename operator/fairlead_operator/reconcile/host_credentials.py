"""What is known of the credentials that the operator makes for a host, and what its CredentialsReady says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fairlead_api.auth import CertificateAuth
from fairlead_api.conditions import HostCondition, HostReason
from fairlead_api.quantities import format_duration
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.transitions import (
    Announcement,
    Finding,
    by_type,
    changed,
    false,
    timestamp,
    true,
    unknown,
)


@dataclass(frozen=True)
class CertificateState:
    """A host's certificate."""

    serial: int | None = None
    """None: there is none."""
    next_serial: int | None = None
    """While the authority is rotated: of the one that its next key signed."""
    expires: datetime | None = None
    """None: it is over, or there is none."""
    problem: tuple[HostReason, str] | None = None
    """Why no other one can be issued; None: nothing is in the way."""


@dataclass(frozen=True)
class HostCredentials:
    """Credentials that the operator made."""

    public_key: str | None = None
    """The public half of a generated key."""
    next_public_key: str | None = None
    """The public half of its successor."""
    certificate: CertificateState | None = None
    again: float | None = field(default=None, compare=False)
    """After how many seconds something is due."""

    @property
    def version(self) -> str:
        """What changes when the credentials do: of a generated key only the keys count, of a certificate its serial."""
        if self.certificate is not None:
            return f"certificate {self.certificate.serial} next {self.certificate.next_serial}"
        return " next ".join(key for key in (self.public_key, self.next_public_key) if key is not None)

    @property
    def status_fields(self) -> dict[str, Any]:
        """What the host's status shows of them."""
        shown = {"publicKey": self.public_key, "nextPublicKey": self.next_public_key}
        return {field: value for field, value in shown.items() if value is not None}


def made_finding(spec: RemoteHostSpec, credentials: HostCredentials | None) -> Finding:
    """What CredentialsReady says of credentials that the operator makes."""
    if spec.auth.certificate is not None:
        state = (credentials.certificate if credentials is not None else None) or CertificateState()
        return _certificate_finding(spec, spec.auth.certificate, state)
    return _generated_finding(spec.username, credentials)


def _generated_finding(username: str, credentials: HostCredentials | None) -> Finding:
    if credentials is None or credentials.public_key is None:
        return unknown(HostReason.SECRET_NOT_FOUND, "The key pair is being generated.")
    if credentials.next_public_key is not None:
        return true(
            HostReason.KEY_ROTATING,
            f"A new key pair was made: add status.nextPublicKey to the authorized_keys of {username} on the host, and"
            " leave status.publicKey there. Once the host has accepted the new key, it takes the former one's place.",
        )
    return true(
        HostReason.KEY_GENERATED,
        f"A key pair was generated: put status.publicKey into the authorized_keys of {username} on the host.",
    )


def _certificate_finding(spec: RemoteHostSpec, auth: CertificateAuth, state: CertificateState) -> Finding:
    if state.problem is not None:
        reason, message = state.problem
        if state.expires is not None:
            message += f" The present certificate is good until {timestamp(state.expires)}."
        return false(reason, message)
    if state.serial is None:
        return unknown(
            HostReason.CERTIFICATE_PENDING,
            "The certificate is issued as soon as there is a pod, to which it is made out.",
        )
    return true(
        HostReason.CERTIFICATE_ISSUED,
        f"The authority {auth.authority_ref.name!r} signs certificates for {', '.join(principals(spec, auth))}, each"
        f" good for {format_duration(auth.validity)}. The host's TrustedUserCAKeys needs the authority's"
        " status.trustedUserCAKeys.",
    )


def principals(spec: RemoteHostSpec, auth: CertificateAuth) -> tuple[str, ...]:
    """Whom a host's certificates name."""
    return auth.principals if auth.principals is not None else (spec.username,)


_WARNINGS = frozenset({HostReason.AUTHORITY_NOT_FOUND, HostReason.AUTHORITY_NOT_READY})


def credential_announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    """The Events about credentials that the step from one status to the next deserves."""
    condition = changed(HostCondition.CREDENTIALS_READY, by_type(before), after["conditions"])
    if condition is not None and condition["reason"] in _WARNINGS:
        return [Announcement("Warning", condition["reason"], condition["message"])]
    offered, key = before.get("nextPublicKey"), after.get("publicKey")
    if offered is not None and key == offered:
        former = before.get("publicKey", "")
        message = f"The host accepted the new key. Remove the former one from its authorized_keys: {former}"
        return [Announcement("Normal", HostReason.KEY_ROTATED, message)]
    if condition is not None and condition["reason"] == HostReason.KEY_ROTATING:
        return [Announcement("Normal", condition["reason"], condition["message"])]
    return []
