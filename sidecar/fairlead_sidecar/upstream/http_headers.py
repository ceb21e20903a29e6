"""The headers that a server's owner configured, read afresh from their Secrets."""

from collections.abc import Iterable, Mapping

from fairlead_sidecar.config import Header
from fairlead_sidecar.upstream.errors import SecretNotFound, UpstreamError

_OURS = frozenset(
    {
        "accept",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OUR_PREFIX = "mcp-"
_MOST_OF_VALUE = 16 * 1024
"""Few servers take so much."""
LEAST_OF_SECRET = 8
"""Characters; the scheme before a token is shorter, and no secret."""


class HeaderInvalid(UpstreamError):
    """A header of the configuration can't be sent."""

    code = "mcp_server_header_invalid"
    retriable = False
    default_hint = "Correct the header in the server's configuration, or the Secret that holds its value."


def read_headers(headers: Iterable[Header]) -> dict[str, str]:
    """Names and values, as they are now.

    Raises:
        SecretNotFound: A value's Secret, or its key, is not there.
        HeaderInvalid: A name is not to be set, or a value can't be in a header; the message never has a value.
    """
    read = {}
    for header in headers:
        name = header.name.lower()
        if name in _OURS or name.startswith(_OUR_PREFIX):
            raise HeaderInvalid(f"The header {header.name} belongs to the protocol and can't be configured.")
        value, source = _value(header)
        if not sendable(value):
            raise HeaderInvalid(
                f"The value of the header {header.name} ({source}) holds characters that no header may, or is too long."
            )
        read[name] = value
    return read


def sendable(value: str) -> bool:
    """Whether a header can have this value."""
    return value.isascii() and value.isprintable() and len(value) <= _MOST_OF_VALUE


def secret_parts(read: Mapping[str, str]) -> list[bytes]:
    """What may be secret in headers as they were read: the values, and the words in them (`Bearer ...`)."""
    # Those that are given in the configuration too: a client's own file has no other place for secrets.
    return [
        part.encode() for value in read.values() for part in {value, *value.split()} if len(part) >= LEAST_OF_SECRET
    ]


def _value(header: Header) -> tuple[str, str]:
    if header.secret is None:
        return (header.value or "").strip(), "given in the configuration"
    source = f"Secret {header.secret.name}"
    try:
        return header.secret.file.read_bytes().decode(errors="replace").strip(), source
    except FileNotFoundError:
        raise SecretNotFound(f"The header {header.name} needs {source}, which is not there.") from None
    except OSError as error:
        raise SecretNotFound(
            f"The header {header.name} needs {source}, which can't be read: {error.strerror}."
        ) from error
