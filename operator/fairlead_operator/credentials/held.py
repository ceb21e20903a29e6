"""What the Secret with a host's certificates holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from fairlead_operator.credentials.certificates import PORT_FORWARDING, SKEW, facts
from fairlead_operator.credentials.keys import NEXT_PRIVATE_KEY, PRIVATE_KEY, public_line
from fairlead_operator.credentials.public_keys import fingerprint
from fairlead_operator.reconcile.certificate_plan import HeldCertificate, Present, Terms
from fairlead_operator.reconcile.issued import IssuedCertificate, read_issued
from fairlead_operator.reconcile.key_rotation import REQUEST

CERTIFICATE = "ssh-certificate"
NEXT_CERTIFICATE = "next-ssh-certificate"
ISSUED = "issued"
"""The Secret's key that lists what was issued and is neither over nor revoked."""


@dataclass(frozen=True)
class HeldCredentials:
    """The content, without its secrets."""

    present: Present
    issued: tuple[IssuedCertificate, ...]
    empty: bool
    """Whether nothing is in it that anybody could log in with."""


def read_held(content: Mapping[str, str]) -> HeldCredentials:
    """What a content stands for; a certificate that can't be used counts as none."""
    present = Present(
        current=_held(content.get(PRIVATE_KEY), content.get(CERTIFICATE)),
        following=_held(content.get(NEXT_PRIVATE_KEY), content.get(NEXT_CERTIFICATE)),
        request=content.get(REQUEST, ""),
    )
    return HeldCredentials(
        present=present, issued=read_issued(content.get(ISSUED, "")), empty=not content.keys() - {REQUEST}
    )


def _held(private: str | None, certificate: str | None) -> HeldCertificate | None:
    if private is None or certificate is None:
        return None
    try:
        found = facts(certificate)
        key = fingerprint(load_ssh_public_key(public_line(private, "").encode()))
    except ValueError:
        return None
    if key != found.key:
        return None
    terms = Terms(
        key_id=found.key_id,
        principals=frozenset(found.principals),
        validity=found.valid_before - found.valid_after - SKEW,
        source_addresses=frozenset(found.source_addresses),
        port_forwarding=PORT_FORWARDING in found.extensions,
    )
    return HeldCertificate(
        serial=found.serial, authority=found.authority, key_fingerprint=key, terms=terms, expires=found.valid_before
    )
