"""Generated SSH key pairs."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from fairlead_api.auth import KeyAlgorithm
from fairlead_operator.credentials.private_keys import load_private_key

RSA_BITS = 4096
PRIVATE_KEY = "ssh-privatekey"
"""The Secret's key that the sidecar reads, the same as in Secrets of type kubernetes.io/ssh-auth."""
NEXT_PRIVATE_KEY = "next-ssh-privatekey"
"""The Secret's key that holds the successor, which the sidecar offers first."""


@dataclass(frozen=True)
class KeyPair:
    """An SSH key pair."""

    private: str = field(repr=False)
    """OpenSSH's own format, not encrypted: a Secret holds it."""
    public: str
    """One line, ready for authorized_keys."""


def generate_key_pair(algorithm: KeyAlgorithm, comment: str) -> KeyPair:
    """A new key pair. RSA takes up to seconds of CPU: run it in a thread."""
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if algorithm is KeyAlgorithm.RSA:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()
    return KeyPair(private, public_line(private, comment))


def public_line(private: str, comment: str) -> str:
    """The public half of a private key in OpenSSH's format, as a line for authorized_keys.

    Raises:
        ValueError: It is no such key, or it is encrypted.
    """
    try:
        key = load_private_key(private)
    except ValueError as error:
        raise ValueError("no unencrypted OpenSSH private key") from error
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    return f"{line} {comment}"
