"""Key revocation lists in OpenSSH's binary format (PROTOCOL.krl), for RevokedKeys of sshd_config.

Only what is needed here: serials of certificates by the authority that signed them, and keys as such.
"""

import struct
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from fairlead_operator.credentials.public_keys import wire

_MAGIC = b"SSHKRL\n\0"
_FORMAT = 1
_NO_FLAGS = 0
_CERTIFICATES = 1
_EXPLICIT_KEYS = 2
_SERIAL_LIST = 0x20
SERIAL_BYTES = 8
"""What each further serial adds to a list."""


def revocation_list(
    serials: Mapping[str, Collection[int]],
    keys: Iterable[str] = (),
    *,
    version: int,
    generated: datetime,
    comment: str = "",
) -> bytes:
    """A key revocation list. Equal arguments give equal bytes.

    Args:
        serials: The public key of an authority (OpenSSH's one-line format) -> serials of its certificates, each
            from 1 to 2**64 - 1.
        keys: Public keys that are refused as such. Where one is an authority's, so is all that it signed.
        version: Counts the changes of this list.
        generated: When it was changed last.
        comment: For people, shown by `ssh-keygen -Q -l`.

    Raises:
        ValueError: A serial is out of bounds, or a key can't be read.
    """
    header = _MAGIC + struct.pack(">IQQQ", _FORMAT, version, int(generated.timestamp()), _NO_FLAGS)
    parts = [header, _string(b""), _string(comment.encode())]
    parts += [
        _section(_CERTIFICATES, _of_authority(wire(authority), serials[authority]))
        for authority in sorted(serials)
        if serials[authority]
    ]
    if blobs := sorted({wire(key) for key in keys}):
        parts.append(_section(_EXPLICIT_KEYS, b"".join(map(_string, blobs))))
    return b"".join(parts)


def _of_authority(authority: bytes, serials: Iterable[int]) -> bytes:
    try:
        listed = b"".join(struct.pack(">Q", serial) for serial in sorted(set(serials)))
    except struct.error as error:
        raise ValueError("a serial is not between 1 and 2**64 - 1") from error
    if listed.startswith(bytes(8)):
        # sshd refuses the whole list for it, and then every key.
        raise ValueError("a serial is not between 1 and 2**64 - 1")
    return _string(authority) + _string(b"") + _section(_SERIAL_LIST, listed)


def _section(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + _string(data)


def _string(data: bytes) -> bytes:
    """`string` of RFC 4251 section 5."""
    return struct.pack(">I", len(data)) + data
