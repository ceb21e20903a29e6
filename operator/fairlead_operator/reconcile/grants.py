"""Which tokens a host's sidecar is told of: those that fit, and what it means when one is no longer among them."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fairlead_sidecar.config import JwtTrust, SidecarConfig, TokenGrant, ToolSelection

MOST_TOKENS = 1000
"""McpTokens of a host."""
MOST_BYTES = 1_000_000
"""Of a host's configuration: a Secret holds 1 MiB."""
_SEPARATORS = 16
"""Bytes around a grant in the rendered configuration, at most."""


@dataclass(frozen=True)
class Told:
    """What sidecars are told of one McpToken."""

    uid: str
    created: datetime
    grants: tuple[TokenGrant, ...]

    def over(self, now: datetime) -> bool:
        """Whether none of it is valid any more."""
        return all(grant.expired(now) for grant in self.grants)


@dataclass(frozen=True)
class Fitting:
    """The tokens that a configuration holds."""

    grants: tuple[TokenGrant, ...]
    left_out: frozenset[str]
    """UIDs of the McpTokens that have no room."""


def fitting(config: SidecarConfig, told: Iterable[Told], now: datetime) -> Fitting:
    """Choose the tokens for a configuration: the oldest first, and those that expired last.

    Args:
        config: The configuration without any token.
        told: All tokens that are for the host.
        now: The time.
    """
    size = len(config.render().encode())
    chosen: list[TokenGrant] = []
    left_out = set[str]()
    count = 0
    for some in sorted(told, key=lambda some: (some.over(now), some.created, some.uid)):
        if not some.grants:
            continue
        needed = sum(_size(grant) for grant in some.grants)
        if count >= MOST_TOKENS or size + needed > MOST_BYTES:
            left_out.add(some.uid)
            continue
        count, size = count + 1, size + needed
        chosen += some.grants
    return Fitting(tuple(sorted(chosen, key=lambda grant: (grant.uid, grant.id))), frozenset(left_out))


def _size(grant: TokenGrant) -> int:
    return len(grant.model_dump_json().encode()) + _SEPARATORS


def with_tokens(
    config: SidecarConfig,
    told: Iterable[Told],
    *,
    probe_sha256: str,
    trust: JwtTrust | None,
    now: datetime,
) -> tuple[SidecarConfig, frozenset[str]]:
    """A configuration with the tokens of today, and the UIDs of the McpTokens that had no room in it.

    Args:
        config: The configuration; tokens that it has give way.
        told: All tokens that are for the host.
        probe_sha256: Hash of the operator's own credential for this host.
        trust: How JWTs are judged; it is told only where one of the tokens is a JWT.
        now: The time.
    """
    bare = config.model_copy(update={"tokens": (), "probe_sha256": probe_sha256, "jwt": trust})
    fit = fitting(bare, told, now)
    jwt = trust if any(grant.secret_sha256 is None for grant in fit.grants) else None
    return bare.model_copy(update={"tokens": fit.grants, "jwt": jwt}), fit.left_out


def revokes(before: Iterable[TokenGrant], after: Iterable[TokenGrant], now: datetime) -> bool:
    """Whether a token may do less, from fewer places, or for a shorter time, afterwards than before.

    Its rate does not count: it says how often, and not what. One that has expired is refused by sidecars' own clocks.
    """
    left = {grant.id: grant for grant in after}
    valid = (grant for grant in before if not grant.expired(now))
    return any((same := left.get(grant.id)) is None or _less(grant, same) for grant in valid)


def _less(before: TokenGrant, after: TokenGrant) -> bool:
    shorter = after.expires_at is not None and (before.expires_at is None or after.expires_at < before.expires_at)
    other = (before.uid, before.secret_sha256) != (after.uid, after.secret_sha256)
    # Which of two selections lets more through is hard to tell: another one counts as less.
    fewer = after.tools not in (before.tools, ToolSelection())
    narrower = not _within(before.source_cidrs, after.source_cidrs)
    return other or shorter or fewer or narrower or not before.permissions <= after.permissions


def _within(inner: tuple[str, ...] | None, outer: tuple[str, ...] | None) -> bool:
    """Whether each of these networks lies in one of those; None: every address."""
    if outer is None or inner == outer:
        return True
    wide = [ipaddress.ip_network(network) for network in outer]
    return inner is not None and all(_in_any(ipaddress.ip_network(network), wide) for network in inner)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _in_any(network: _Network, wide: Iterable[_Network]) -> bool:
    first, last = network.network_address, network.broadcast_address
    return any(first in some and last in some for some in wide)
