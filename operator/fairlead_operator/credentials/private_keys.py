"""Reading private keys that users wrote, or could have changed, within a time that does not depend on them.

One operator works for all namespaces, so a key of one must not hold up the others: proving that the numbers of an RSA
key are prime takes hours where they are large, and so does a passphrase with millions of rounds.
"""

import binascii
import re
import struct

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes

MOST_CHARACTERS = 32 * 1024
"""Of a key's text; RSA with 8192 bits needs 7,000."""
MOST_RSA_BITS = 8192
MOST_ROUNDS = 128
"""Of OpenSSH's key derivation (bcrypt_pbkdf), some seconds on a busy node; `ssh-keygen` makes 24 unless told otherwise,
and people who tell it write 100."""

_OPENSSH = re.compile(
    r"\s*-----BEGIN OPENSSH PRIVATE KEY-----(?P<body>.*?)-----END OPENSSH PRIVATE KEY-----", re.DOTALL
)
_PKCS8_ENCRYPTED = re.compile(r"ENCRYPTED\s+PRIVATE\s+KEY")
_MAGIC = b"openssh-key-v1\0"


def load_private_key(text: str, passphrase: str | None = None) -> SSHPrivateKeyTypes:
    """A private key in OpenSSH's format or PEM. A passphrase takes up to seconds: use a thread.

    Its numbers are not proved: a key that is none makes signatures that nobody accepts.

    Raises:
        ValueError: It can't be used; the message, a part of a sentence, says why and never holds any of the text.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"is longer than {MOST_CHARACTERS} characters, as no key is")
    if "PRIVATE KEY-----" not in text:
        raise ValueError("is no private key, which begins with -----BEGIN ... PRIVATE KEY-----")
    openssh = _OPENSSH.match(text)
    rounds = 0 if openssh is None else _rounds(openssh["body"])
    if rounds > MOST_ROUNDS:
        raise ValueError(f"asks for more than {MOST_ROUNDS} rounds: write it anew with `ssh-keygen -p -a 100`")
    if _PKCS8_ENCRYPTED.search(text):
        # Its derivation may ask for any time and any memory.
        raise ValueError("is encrypted in another format than OpenSSH's: rewrite it with `ssh-keygen -p`")
    if rounds and not passphrase:
        raise ValueError("is encrypted, and its passphrase is not there")
    load = load_ssh_private_key if openssh is not None else load_pem_private_key
    password = passphrase.encode() if passphrase else None
    try:
        key = load(text.encode(), password, unsafe_skip_rsa_key_validation=True)
    except (UnsupportedAlgorithm, NotImplementedError):
        # The latter for points of elliptic curves that are compressed, as nobody writes them.
        raise ValueError("is of an unknown kind") from None
    except (ValueError, TypeError):
        # What the library says is about bytes; and with a wrong passphrase it can't tell what is wrong.
        tried = "with this passphrase" if password else "without a passphrase"
        raise ValueError(f"can't be read as a private key {tried}") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size > MOST_RSA_BITS:
        raise ValueError(f"has {key.key_size} bits: take at most {MOST_RSA_BITS}")
    return key  # type: ignore[return-value]  # those of PEM that SSH does not know are sorted out by the callers


def _rounds(body: str) -> int:
    """Rounds that a key in OpenSSH's format asks for (PROTOCOL.key); 0 where it is not encrypted, or is no key."""
    try:
        data = binascii.a2b_base64(body)
        if not data.startswith(_MAGIC):
            return 0
        rest = data[len(_MAGIC) :]
        for _ in ("cipher", "derivation"):
            _, rest = _string(rest)
        options, _ = _string(rest)
        _, rounds = _string(options)
        return int(struct.unpack(">I", rounds)[0])
    except (binascii.Error, struct.error):
        return 0


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A `string` of RFC 4251 section 5, and what follows it."""
    length = struct.unpack_from(">I", data)[0]
    return data[4 : 4 + length], data[4 + length :]
