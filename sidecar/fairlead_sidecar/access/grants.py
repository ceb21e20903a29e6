"""Bearer tokens, from an Authorization header to the caller it stands for (RFC 6750).

An McpToken that is rotated has two tokens for a while. What was begun with the former goes on when that one's time is
over, as long as the McpToken itself is in force and still allows it; what begins anew needs a token in force.
"""

import hmac
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fairlead_sidecar import tokens
from fairlead_sidecar.access.addresses import Networks, networks, within
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import JwtTrust, Permission, SidecarConfig, TokenGrant, ToolSelection

if TYPE_CHECKING:
    from fairlead_sidecar.access.jwt import JwtVerifier


class Unauthenticated(Exception):
    """No acceptable credential.

    Args:
        reason: Short and bounded, for metrics and audit.
        description: For the client.
        token_id: The public part of a token whose form is right.
    """

    def __init__(self, reason: str, description: str, token_id: str | None = None) -> None:
        super().__init__(description)
        self.reason = reason
        self.description = description
        self.token_id = token_id


class AddressRefused(Exception):
    """The credential is right, and may not be used from where it came."""

    def __init__(self, caller: "Caller") -> None:
        super().__init__(refused_address(caller.address))
        self.caller = caller


def refused_address(address: str | None) -> str:
    """What somebody is told whose token may not be used from an address."""
    where = "an address that is not known" if address is None else f"the address {address}"
    return f"The token may not be used from {where}."


ALL_TOOLS = ToolSelection()


@dataclass(frozen=True)
class Caller:
    """Whoever presented an accepted credential."""

    key: str = field(repr=False)
    """What revocation goes by: the hash of the credential. Not for logs."""
    owner: str
    """UID of the McpToken: handshake sessions belong to it."""
    subject: str
    token_id: str
    permissions: frozenset[Permission]
    is_probe: bool = False
    """The operator's own check: may only initialize, ping, discover and list."""
    tools: ToolSelection = ALL_TOOLS
    address: str | None = None
    """Where the credential came from; None: not known."""
    rate_percent: int = 100
    """Of the host's limits on requests and commands."""

    def may_use(self, permission: Permission, tool: str) -> bool:
        """Whether it may call a tool that needs this permission."""
        return permission in self.permissions and selected(self.tools, tool)


LOCAL_CALLER = Caller(
    key="local",
    owner="local",
    subject="local",
    token_id="local",  # noqa: S106 - a name in the audit trail
    permissions=frozenset(Permission),
)
"""The person whose own process this is (stdio): no token stands between."""


class Grants:
    """The tokens of one configuration. Expiry is judged at every question, by this machine's clock."""

    def __init__(self, config: SidecarConfig) -> None:
        self.proxies: Networks = networks(config.endpoint.trusted_proxies)
        """Those whose word about a client's address is believed."""
        self._by_id: dict[str, list[TokenGrant]] = defaultdict(list)
        self._by_owner: dict[str, list[TokenGrant]] = defaultdict(list)
        # The one that is valid for longest is the one that agents get now: it speaks for its owner.
        for grant in sorted(config.tokens, key=_expiry, reverse=True):
            self._by_id[grant.id].append(grant)
            self._by_owner[grant.uid].append(grant)
        self._by_key = {grant.key: grant for grant in config.tokens}
        self._probe = config.probe_sha256
        self._verifier = None if config.jwt is None else _verifier(config.jwt)

    def authenticate(self, headers: list[str], address: str | None = None) -> Caller:
        """The caller that the request's Authorization headers stand for.

        Args:
            address: The client's; None: not known.

        Raises:
            Unauthenticated: There is none, more than one, or it is unknown or expired.
            AddressRefused: It may not be used from this address.
        """
        if not headers:
            raise Unauthenticated("missing_token", "Send the token as `Authorization: Bearer <token>`.")
        scheme, _, credential = headers[0].strip().partition(" ")
        if len(headers) > 1 or scheme.lower() != "bearer":
            raise Unauthenticated("malformed_token", "Send one header, `Authorization: Bearer <token>`.")
        text = credential.strip()
        parsed = tokens.parse(text)
        if parsed is None:
            if tokens.looks_like_jwt(text):
                return self._of_jwt(text, address)
            raise Unauthenticated("malformed_token", "This is not a Fairlead token: it may have been cut when copied.")
        presented = tokens.sha256_hex(parsed.text)
        if parsed.is_probe and self._probe is not None and hmac.compare_digest(presented, self._probe):
            return _probe(presented)
        for grant in self._by_id.get(parsed.id, ()):
            if grant.secret_sha256 and hmac.compare_digest(presented, grant.secret_sha256):
                return _admitted(grant, address)
        raise _unknown(parsed.id)

    def _of_jwt(self, text: str, address: str | None) -> Caller:
        if self._verifier is None:
            raise Unauthenticated("jwt_not_accepted", "This host accepts no tokens of the format JWT.")
        token_id = self._verifier.token_id(text)
        for grant in self._by_id.get(token_id, ()):
            if grant.secret_sha256 is None:
                return _admitted(grant, address)
        raise _unknown(token_id)

    def current(self, caller: Caller) -> Caller | None:
        """The caller of an earlier authentication as it stands now.

        That is by its own token, else by another one of the same owner; None once none is left that is in force and
        may be used from the caller's address.
        """
        if caller.key == LOCAL_CALLER.key:
            return LOCAL_CALLER
        if self._probe is not None and caller.key == self._probe:
            return _probe(caller.key)
        now = datetime.now(UTC)
        for grant in self._standing(caller):
            if not grant.expired(now) and _holds(grant, caller.address):
                return _caller(grant, caller.address)
        return None

    def _standing(self, caller: Caller) -> Iterator[TokenGrant]:
        own = self._by_key.get(caller.key)
        if own is not None:
            yield own
        yield from self._by_owner.get(caller.owner, ())

    def elsewhere(self, caller: Caller) -> bool:
        """Whether a caller who is no longer let in would be, from another address."""
        return self.current(caller) is None and self.of_owner(caller.owner) is not None

    def of_owner(self, owner: str) -> Caller | None:
        """A caller that this owner's tokens now stand for, wherever it is; None where none is in force."""
        now = datetime.now(UTC)
        if owner == LOCAL_CALLER.owner:
            return LOCAL_CALLER
        grants = (grant for grant in self._by_owner.get(owner, ()) if not grant.expired(now))
        return next((_caller(grant, None) for grant in grants), None)

    def owners(self) -> set[str]:
        """The UIDs that have at least one token in force."""
        now = datetime.now(UTC)
        owners = {grant.uid for grant in self._by_key.values() if not grant.expired(now)}
        return owners | {LOCAL_CALLER.owner, tokens.PROBE_ID}


def _expiry(grant: TokenGrant) -> datetime:
    return grant.expires_at or datetime.max.replace(tzinfo=UTC)


def _verifier(trust: JwtTrust) -> "JwtVerifier":
    # Most hosts have no such token, and do without what judges them.
    from fairlead_sidecar.access.jwt import JwtVerifier  # noqa: PLC0415 - see above

    return JwtVerifier(trust)


def _unknown(token_id: str) -> Unauthenticated:
    return Unauthenticated("unknown_token", "The token is unknown here or was revoked.", token_id)


def _admitted(grant: TokenGrant, address: str | None) -> Caller:
    if grant.expired(datetime.now(UTC)):
        raise Unauthenticated("expired_token", "The token has expired.", grant.id)
    caller = _caller(grant, address)
    if not _holds(grant, address):
        raise AddressRefused(caller)
    return caller


def _holds(grant: TokenGrant, address: str | None) -> bool:
    return grant.source_cidrs is None or within(address, grant.source_cidrs)


def _caller(grant: TokenGrant, address: str | None) -> Caller:
    return Caller(
        key=grant.key,
        owner=grant.uid,
        subject=grant.subject,
        token_id=grant.id,
        permissions=grant.permissions,
        tools=grant.tools,
        address=address,
        rate_percent=grant.rate_percent,
    )


def _probe(key: str) -> Caller:
    return Caller(
        key=key,
        owner=tokens.PROBE_ID,
        subject="fairlead-operator",
        token_id=tokens.PROBE_ID,
        permissions=frozenset(),
        is_probe=True,
    )
