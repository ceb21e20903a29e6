"""The certificates that a host was given, as its Secret and the authority's controller know them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class IssuedCertificate:
    """One certificate that may still be in use."""

    serial: int
    expires: datetime
    authority: str
    """`SHA256:…` of the key that signed it."""


@dataclass(frozen=True)
class HostCertificates:
    """What one host was given."""

    uid: str
    """Of the RemoteHost."""
    authority: str
    """Name of the SSHCertificateAuthority that the spec names; empty: none."""
    issued: tuple[IssuedCertificate, ...] = ()
    """All that were not revoked and are not over, the newest last: former ones too, which a login may still use."""
    accepted: str | None = None
    """`SHA256:…` of the authority's key behind the certificate that the host accepted last; None: unknown."""


def write_issued(issued: Iterable[IssuedCertificate]) -> str:
    """The certificates as the Secret keeps them: JSON, times in seconds of Unix time."""
    return json.dumps(
        [
            {"serial": some.serial, "expires": int(some.expires.timestamp()), "authority": some.authority}
            for some in issued
        ]
    )


def read_issued(text: str) -> tuple[IssuedCertificate, ...]:
    """What `write_issued` wrote; what can't be read counts as nothing, and so as revoked."""
    try:
        return tuple(
            IssuedCertificate(int(some["serial"]), datetime.fromtimestamp(some["expires"], UTC), str(some["authority"]))
            for some in json.loads(text)
        )
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return ()


def in_force(issued: Iterable[IssuedCertificate], now: datetime) -> tuple[IssuedCertificate, ...]:
    """Those that are not over."""
    return tuple(some for some in issued if some.expires > now)
