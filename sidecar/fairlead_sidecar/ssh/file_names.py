r"""File names as text: any bytes on the host, UTF-8 in JSON, and back without loss.

Inside, bytes that are no UTF-8 are surrogates (PEP 383), as asyncssh gives them. Outside, each is `\x{ff}`, which can
be typed and passed back; a name that holds such a sequence itself has its backslash written as `\x{5c}`.
"""

import re

from fairlead_sidecar.errors import InvalidRequest

_ESCAPE = re.compile(r"\\x\{([0-9a-f]{2})\}")
_TO_ESCAPE = re.compile(r"[\ud800-\udfff]|\\(?=x\{[0-9a-f]{2}\})")


def shown(path: str) -> str:
    """A path of the host as results and messages write it: always valid Unicode."""
    return _TO_ESCAPE.sub(lambda match: f"\\x{{{ord(match[0]) & 0xFF:02x}}}", path)


def meant(text: str) -> str:
    """The path that an argument means: the inverse of `shown`.

    Raises:
        InvalidRequest: No path can be like that.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("The path holds characters that have no UTF-8 form.") from None
    if not data or b"\0" in data:
        raise InvalidRequest("The path is empty or holds a NUL character.")
    if "\\x{" not in text:
        return text
    whole = _ESCAPE.sub(lambda match: chr(0xDC00 + int(match[1], 16)), text)
    # Escapes may also spell bytes that make up characters, or ASCII ones.
    plain = b"".join(
        bytes([ord(character) & 0xFF]) if 0xDC00 <= ord(character) <= 0xDCFF else character.encode()
        for character in whole
    )
    if b"\0" in plain:
        raise InvalidRequest("The path is empty or holds a NUL character.")
    return plain.decode(errors="surrogateescape")
