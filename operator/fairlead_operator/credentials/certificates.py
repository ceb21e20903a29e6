"""SSH user certificates (OpenSSH's PROTOCOL.certkeys): signing them, and reading what one says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from fairlead_operator.credentials.private_keys import load_private_key
from fairlead_operator.credentials.public_keys import fingerprint, line

SKEW = timedelta(minutes=5)
"""How far a host's clock may be behind ours for a new certificate to be good there."""
PORT_FORWARDING = "permit-port-forwarding"
_SOURCE_ADDRESS = "source-address"
_MIN_RSA_BITS = 2048

SigningKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_CertifiedKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class Signer:
    """An authority's key, ready to sign."""

    public_key: str
    """One line without a comment."""
    fingerprint: str
    """`SHA256:…`"""
    key: SigningKey = field(repr=False, compare=False)


@dataclass(frozen=True)
class CertificateRequest:
    """What a certificate is to say. Whatever is not asked for here is not permitted by it."""

    public_key: str
    """The key to certify, in OpenSSH's one-line format."""
    key_id: str
    """What the host's log calls it."""
    principals: tuple[str, ...]
    """Accounts, or names of the host's AuthorizedPrincipalsFile; at least one."""
    validity: timedelta
    """From now on."""
    source_addresses: tuple[str, ...] = ()
    """Networks from which it may be used; empty: from anywhere."""
    port_forwarding: bool = False
    """Whether connections may go through the host (direct-tcpip)."""


@dataclass(frozen=True)
class CertificateFacts:
    """What a certificate says."""

    serial: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: datetime
    valid_before: datetime
    source_addresses: tuple[str, ...]
    extensions: frozenset[str]
    authority: str
    """`SHA256:…` of the key that signed it."""
    key: str
    """`SHA256:…` of the key that it certifies."""


def load_signer(private: str, passphrase: str | None = None) -> Signer:
    """An authority's key from its text, in OpenSSH's format or PEM. An encrypted one takes a moment: use a thread.

    Raises:
        ValueError: It can't be used; the message, a part of a sentence, says why and never holds any of the text.
    """
    key = load_private_key(private, passphrase)
    if not isinstance(key, SigningKey):
        raise ValueError("is of a kind that can't sign: take Ed25519, ECDSA or RSA")  # noqa: TRY004 - about the content
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
        raise ValueError(f"has {key.key_size} bits only: take at least {_MIN_RSA_BITS}")
    public = key.public_key()
    try:
        return Signer(line(public), fingerprint(public), key)
    except ValueError:
        raise ValueError("is of a curve that SSH doesn't know: take nistp256, nistp384 or nistp521") from None


def sign(signer: Signer, request: CertificateRequest, *, serial: int, now: datetime) -> str:
    """A user certificate, in OpenSSH's one-line format. An RSA signature takes milliseconds.

    Args:
        signer: The authority.
        request: What it is to say.
        serial: Its number; each certificate of an authority has its own.
        now: From when its validity counts; it is good `SKEW` earlier already, for the sake of clocks that lag.

    Raises:
        ValueError: The request asks for what can't be certified.
    """
    if not request.principals or not all(request.principals):
        raise ValueError("a certificate without principals would be good for every account")
    public = load_ssh_public_key(request.public_key.encode())
    if not isinstance(public, _CertifiedKey):
        raise ValueError("only Ed25519, ECDSA and RSA keys can be certified")  # noqa: TRY004 - about the content
    builder = (
        SSHCertificateBuilder()
        .public_key(public)
        .serial(serial)
        .type(SSHCertificateType.USER)
        .key_id(request.key_id.encode())
        .valid_principals([principal.encode() for principal in request.principals])
        .valid_after(int((now - SKEW).timestamp()))
        .valid_before(int((now + request.validity).timestamp()))
    )
    if request.source_addresses:
        builder = builder.add_critical_option(_SOURCE_ADDRESS.encode(), ",".join(request.source_addresses).encode())
    if request.port_forwarding:
        builder = builder.add_extension(PORT_FORWARDING.encode(), b"")
    return builder.sign(signer.key).public_bytes().decode()


def facts(text: str) -> CertificateFacts:
    """What a certificate says, whose signature is checked against the key that it names as its authority's.

    Raises:
        ValueError: It is no user certificate, or it was tampered with.
    """
    try:
        return _facts(text)
    except (UnsupportedAlgorithm, NotImplementedError):
        # The latter for points of elliptic curves that are compressed; keys inside are only read when they are needed.
        raise ValueError("an SSH certificate of an unknown kind") from None


def _facts(text: str) -> CertificateFacts:
    try:
        certificate = load_ssh_public_identity(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("no SSH certificate") from None
    if not isinstance(certificate, SSHCertificate) or certificate.type is not SSHCertificateType.USER:
        raise ValueError("no SSH user certificate")
    try:
        certificate.verify_cert_signature()
    except InvalidSignature:
        raise ValueError("an SSH certificate with a wrong signature") from None
    sources = certificate.critical_options.get(_SOURCE_ADDRESS.encode(), b"").decode()
    return CertificateFacts(
        serial=certificate.serial,
        key_id=certificate.key_id.decode(errors="replace"),
        principals=tuple(principal.decode(errors="replace") for principal in certificate.valid_principals),
        valid_after=_moment(certificate.valid_after),
        valid_before=_moment(certificate.valid_before),
        source_addresses=tuple(sources.split(",")) if sources else (),
        extensions=_names(certificate.extensions),
        authority=fingerprint(certificate.signature_key()),
        key=fingerprint(certificate.public_key()),
    )


def _names(options: Mapping[bytes, bytes]) -> frozenset[str]:
    return frozenset(name.decode(errors="replace") for name in options)


def _moment(seconds: int) -> datetime:
    """A certificate's time; the largest of all, which means for ever, becomes the calendar's end."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)
