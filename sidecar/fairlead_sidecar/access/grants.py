"""Bearer tokens, from an Authorization header to the caller it stands for (RFC 6750)."""

import hmac
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fairlead_sidecar import tokens
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import Permission, SidecarConfig, TokenGrant, ToolSelection


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
        self._by_id: dict[str, list[TokenGrant]] = defaultdict(list)
        for grant in config.tokens:
            self._by_id[grant.id].append(grant)
        self._by_key = {grant.key: grant for grant in config.tokens}
        self._probe = config.probe_sha256

    def authenticate(self, headers: list[str]) -> Caller:
        """The caller that the request's Authorization headers stand for.

        Raises:
            Unauthenticated: There is none, more than one, or it is unknown or expired.
        """
        if not headers:
            raise Unauthenticated("missing_token", "Send the token as `Authorization: Bearer <token>`.")
        scheme, _, credential = headers[0].strip().partition(" ")
        if len(headers) > 1 or scheme.lower() != "bearer":
            raise Unauthenticated("malformed_token", "Send one header, `Authorization: Bearer <token>`.")
        parsed = tokens.parse(credential.strip())
        if parsed is None:
            raise Unauthenticated("malformed_token", "This is not a Fairlead token: it may have been cut when copied.")
        presented = tokens.sha256_hex(parsed.text)
        if parsed.is_probe and self._probe is not None and hmac.compare_digest(presented, self._probe):
            return _probe(presented)
        for grant in self._by_id.get(parsed.id, ()):
            if grant.secret_sha256 and hmac.compare_digest(presented, grant.secret_sha256):
                if grant.expired(datetime.now(UTC)):
                    raise Unauthenticated("expired_token", "The token has expired.", parsed.id)
                return _caller(grant)
        raise Unauthenticated("unknown_token", "The token is unknown here or was revoked.", parsed.id)

    def current(self, key: str) -> Caller | None:
        """The caller of an earlier authentication as it stands now; None once its credential is gone or expired."""
        if key == LOCAL_CALLER.key:
            return LOCAL_CALLER
        if self._probe is not None and key == self._probe:
            return _probe(key)
        grant = self._by_key.get(key)
        return None if grant is None or grant.expired(datetime.now(UTC)) else _caller(grant)

    def of_owner(self, owner: str) -> Caller | None:
        """A caller that this owner's tokens now stand for; None where none is in force."""
        now = datetime.now(UTC)
        if owner == LOCAL_CALLER.owner:
            return LOCAL_CALLER
        grants = (grant for grant in self._by_key.values() if grant.uid == owner and not grant.expired(now))
        return next((_caller(grant) for grant in grants), None)

    def owners(self) -> set[str]:
        """The UIDs that have at least one token in force."""
        now = datetime.now(UTC)
        owners = {grant.uid for grant in self._by_key.values() if not grant.expired(now)}
        return owners | {LOCAL_CALLER.owner, tokens.PROBE_ID}


def _caller(grant: TokenGrant) -> Caller:
    return Caller(
        key=grant.key,
        owner=grant.uid,
        subject=grant.subject,
        token_id=grant.id,
        permissions=grant.permissions,
        tools=grant.tools,
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
