"""The form of bearer tokens: minted by the operator and `fairlead serve`, recognised by sidecars and secret scanners.

A token is `flt_<id>_<secret><checksum>`. The id (60 random bits, `[a-z2-7]`) is public and names the token in audit
lines; the secret (256 random bits, base62) is what counts; the checksum (CRC-32 of all that stands before it, base62)
lets a scanner tell a token from noise without asking anybody. The operator's probe token has `probe` in place of the
id and no randomness: it is derived from a key, so that none has to be stored for each host.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

PROBE_ID = "probe"
ID_LENGTH = 12
SECRET_LENGTH = 43
"""Base62 digits that hold 256 bits."""
CHECKSUM_LENGTH = 6
"""Base62 digits that hold 32 bits."""

_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(
    rf"(?P<body>flt_(?P<id>{PROBE_ID}|[a-z2-7]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)


@dataclass(frozen=True)
class ParsedToken:
    """A well-formed token; whether anybody knows it is another question."""

    id: str
    """The public part; `probe` for the operator's own."""
    text: str = field(repr=False)
    """The whole token: a secret."""

    @property
    def is_probe(self) -> bool:
        """Whether it has the form of the operator's probe token."""
        return self.id == PROBE_ID


def mint(id: str | None = None) -> str:  # noqa: A002 - the field's name for it
    """A new token from the operating system's random source.

    Args:
        id: Keeps the public part when only the secret is to change; None: a new one.

    Raises:
        ValueError: `id` does not have the form of one.
    """
    if id is None:
        id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_LENGTH))  # noqa: A001 - as above
    elif not re.fullmatch(rf"[a-z2-7]{{{ID_LENGTH}}}", id, re.ASCII):
        msg = f"a token id has {ID_LENGTH} characters of a-z and 2-7"
        raise ValueError(msg)
    return _seal(f"flt_{id}_{_base62(secrets.randbits(256), SECRET_LENGTH)}")


def parse(text: str) -> ParsedToken | None:
    """The parts of a well-formed token; None where form or checksum are wrong."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(match["body"]) != match["checksum"]:
        return None
    return ParsedToken(id=match["id"], text=text)


def looks_like_jwt(text: str) -> bool:
    """Whether it is meant to be a JWT (RFC 7519): three parts, the first a JSON object in base64url."""
    return text.startswith("eyJ") and text.count(".") == 2


def sha256_hex(text: str) -> str:
    """What a sidecar is given in place of the token: the hex SHA-256 of the whole string."""
    return hashlib.sha256(text.encode()).hexdigest()


def probe_token(key: bytes, instance: str) -> str:
    """The operator's credential for one host: `flt_probe_<base62 of HMAC-SHA256(key, instance)><checksum>` (RFC 2104).

    Args:
        key: The operator's probe key, at least 32 random bytes.
        instance: UID of the RemoteHost.
    """
    mac = hmac.digest(key, instance.encode(), "sha256")
    return _seal(f"flt_{PROBE_ID}_{_base62(int.from_bytes(mac, 'big'), SECRET_LENGTH)}")


def _seal(body: str) -> str:
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
