"""Makes tokens and lets them follow each other. The text of a token is in memory only until its Secret holds it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.token_options import TokenFormat
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials import json_web_tokens
from fairlead_operator.credentials.key_set import KeySet
from fairlead_operator.credentials.signing_keys import SigningKeys
from fairlead_operator.credentials.token_secrets import TokenSecrets, read_opaque
from fairlead_operator.reconcile.jwt_claims import claims, too_large
from fairlead_operator.reconcile.objects import Key, Token
from fairlead_operator.reconcile.token_rotation import Cause, Claims, Minted, cause, first, succeed, trusted
from fairlead_operator.settings import Settings
from fairlead_sidecar import tokens

LEAD = timedelta(seconds=5)
"""How long hosts may take to learn of a token before its Secret shows it."""
LONGEST_LEAD = timedelta(seconds=30)
"""The same where what the token is to say changes again and again meanwhile."""


class TooLarge(Exception):
    """A JWT for all of its hosts would not fit into a header; the message says what to do."""


@dataclass(frozen=True)
class Coming:
    """A token that is about to take its place in the Secret."""

    uid: str
    text: str = field(repr=False)
    made: Minted
    why: Cause
    since: datetime
    first: datetime
    """When the first one was made that this one replaced before anybody saw it."""

    @property
    def deadline(self) -> datetime:
        """When it goes into the Secret at the latest."""
        return min(self.since + LEAD, self.first + LONGEST_LEAD)


class Minting:
    """All tokens that exist or are about to."""

    def __init__(self, settings: Settings, store: Store, secrets: TokenSecrets, signing_keys: SigningKeys) -> None:
        self._settings = settings
        self._store = store
        self._secrets = secrets
        self._signing_keys = signing_keys
        self._coming: dict[Key, Coming] = {}

    def forget(self, key: Key) -> None:
        """A token is gone."""
        self._coming.pop(key, None)

    def known(self, token: Token, spec: McpTokenSpec) -> Minted | None:
        """What the token's Secret held when it was looked at last; None where that is not known."""
        return trusted(self._secrets.known(token, spec), self._kids)

    async def present(self, token: Token, spec: McpTokenSpec) -> Minted | None:
        """What the token's Secret holds; None where there is nothing usable.

        Raises:
            Exception: As `TokenSecrets.present`.
        """
        return trusted(await self._secrets.present(token, spec), self._kids)

    def made(self, token: Token) -> Minted | None:
        """The token that is about to take the present one's place; None: there is none."""
        coming = self._coming.get(token.key)
        return coming.made if coming is not None and coming.uid == token.uid else None

    async def coming(self, token: Token, spec: McpTokenSpec, minted: Minted | None, now: datetime) -> Coming | None:
        """The token that is to take the present one's place; None: the present one stays.

        Raises:
            TooLarge: There is no place for it in a header.
            SigningKeysUnavailable: It can't be signed.
            ApiError: The API server did not answer.
        """
        keys = wanted = None
        if spec.format is TokenFormat.JWT:
            keys = await self._signing_keys.obtain()
            wanted = claims(token, spec, self._store.hosts_for(token), self._settings)
        why = Cause.FIRST if minted is None else cause(token, spec, minted, wanted, now)
        before = self._coming.pop(token.key, None)
        if why is None:
            return None
        if before is not None and before.uid == token.uid and _still_good(before.made, wanted, keys):
            coming = replace(before, why=why)
        else:
            text, made = self._make(token, wanted, keys, now)
            begun = before.first if before is not None and before.uid == token.uid else now
            coming = Coming(token.uid, text, made, why, now, begun)
        self._coming[token.key] = coming
        return coming

    async def put(
        self, token: Token, spec: McpTokenSpec, minted: Minted | None, coming: Coming, now: datetime
    ) -> Minted:
        """Let the coming token take its place.

        Raises:
            NotWritten: The API server refused it; it stays what is coming.
        """
        if minted is None:
            made = first(coming.made, token, now)
        else:
            made = succeed(token, spec, minted, coming.made, why=coming.why, now=now)
        await self._secrets.write(token, spec, coming.text, made)
        if self._coming.get(token.key) is coming:
            del self._coming[token.key]
        return made

    def kids_in_use(self, now: datetime) -> frozenset[str] | None:
        """The names of the keys that signed tokens which still work; None while some have not been looked at."""
        if not self._store.all_settled() or any(token.spec is None for token in self._store.tokens()):
            return None
        coming = (coming.made.kid for coming in self._coming.values())
        return frozenset({*coming, *self._secrets.kids(now)})

    @property
    def _kids(self) -> frozenset[str]:
        keys = self._signing_keys.present
        return keys.kids if keys is not None else frozenset()

    def _make(self, token: Token, wanted: Claims | None, keys: KeySet | None, now: datetime) -> tuple[str, Minted]:
        if wanted is None or keys is None:
            text = tokens.mint()
            opaque = read_opaque(text)
            if opaque is None:
                raise RuntimeError("a new token can't be read back")
            return text, opaque
        text = json_web_tokens.sign(keys.signing, wanted, now)
        if problem := too_large(len(text), len(self._store.hosts_for(token))):
            raise TooLarge(problem)
        said = json_web_tokens.read(text, keys.keys)
        if said is None:
            raise RuntimeError("a new JWT can't be read back")
        return text, Minted(said.id, None, said.kid, said.claims)


def _still_good(made: Minted, wanted: Claims | None, keys: KeySet | None) -> bool:
    return made.claims == wanted and (keys is None or made.kid in keys.kids)
