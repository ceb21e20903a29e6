"""Certificates of a cluster: authorities of its own, one certificate per component, keys readable by root alone."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    @staticmethod
    def at(directory: Path, name: str) -> Pair:
        """The two files of that name."""
        return Pair(directory / f"{name}.crt", directory / f"{name}.key")


@dataclass(frozen=True)
class Authority:
    """A certificate authority; its files are made once."""

    pair: Pair

    @staticmethod
    def ensure(directory: Path, name: str) -> Authority:
        """Load the authority of that name, or make it."""
        authority = Authority(Pair.at(directory, name))
        if not authority.pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            builder = _builder(subject, subject, key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
            usage = _usage(key_cert_sign=True, crl_sign=True)
            _write(authority.pair, builder.add_extension(usage, True).sign(key, hashes.SHA256()), key)
        return authority

    def issue(
        self, name: str, common_name: str, *, organizations: Iterable[str] = (), hosts: Iterable[str] = ()
    ) -> Pair:
        """Make a certificate once: for a client, and with `hosts` for a server that answers there too.

        The common name and the organizations are the Kubernetes user and groups.
        """
        pair = Pair.at(self.pair.certificate.parent, name)
        if pair.certificate.exists():
            return pair
        issuer = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        signer = serialization.load_pem_private_key(self.pair.key.read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.pair.key} holds no elliptic curve key")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        names = [_general_name(host) for host in hosts]
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])]
        builder = (
            _builder(subject, issuer.subject, key.public_key())
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(_usage(digital_signature=True), True)
            .add_extension(x509.ExtendedKeyUsage(purposes), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        _write(pair, builder.sign(signer, hashes.SHA256()), key)
        return pair


def ensure_signing_key(directory: Path, name: str) -> None:
    """Make, once, a key that signs service account tokens (ES256): `NAME.key`, and its public half `NAME.pub`."""
    public = directory / f"{name}.pub"
    if not public.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(directory / f"{name}.key", key)
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )


def write_kubeconfig(path: Path, server: str, authority: Authority, user: Pair, *, name: str) -> None:
    """Write a self-contained kubeconfig: the server is verified against the authority, the user is a certificate."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": _base64(authority.pair.certificate)},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": _base64(user.certificate), "client-key-data": _base64(user.key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pair.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_key(pair.key, key)
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
