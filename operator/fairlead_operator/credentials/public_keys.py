"""Public keys as SSH writes them."""

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, ssh_key_fingerprint
from cryptography.hazmat.primitives.serialization.ssh import SSHPublicKeyTypes


def line(key: SSHPublicKeyTypes) -> str:
    """A key in OpenSSH's one-line format, without a comment.

    Raises:
        ValueError: SSH has no name for this kind of key.
    """
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def wire(public_line: str) -> bytes:
    """A key's bytes on the wire (RFC 4253 section 6.6), from its line."""
    return base64.b64decode(public_line.split()[1], validate=True)


def fingerprint(key: SSHPublicKeyTypes) -> str:
    """`SHA256:…`, as `ssh-keygen -l` shows it."""
    digest = ssh_key_fingerprint(key, hashes.SHA256())
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
