"""The Secrets that hold tokens. Of a token only its name and its hash are kept here, never its text."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlead_api.mcptoken import McpTokenSpec
from fairlead_operator.cluster.applier import Claimant
from fairlead_operator.cluster.errors import ApiError, Conflict
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.credentials import json_web_tokens
from fairlead_operator.credentials.owned import NotWritten, SecretMetadata
from fairlead_operator.credentials.signing_keys import SigningKeys
from fairlead_operator.reconcile.labels import TOKEN_LABEL
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import token_secret_name
from fairlead_operator.reconcile.objects import Key, Token
from fairlead_operator.reconcile.token import TOKEN_KEY, token_secret
from fairlead_operator.reconcile.token_rotation import NOTHING, STATE_ANNOTATION, Minted, State
from fairlead_sidecar import tokens


@dataclass(frozen=True)
class _Record:
    owner: str
    version: int
    secret_uid: str
    minted: Minted | None
    """None: the Secret holds nothing usable."""


class TokenSecrets:
    """Knows what each Secret holds, and reads one again only when it changed."""

    def __init__(self, objects: Objects, metadata: SecretMetadata, signing_keys: SigningKeys) -> None:
        self._objects = objects
        self._metadata = metadata
        self._signing_keys = signing_keys
        self._records: dict[Key, _Record] = {}

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        key = Key(meta.namespace, meta.name)
        record = self._records.get(key)
        if record is not None and record.secret_uid == meta.uid:
            del self._records[key]

    def known(self, token: Token, spec: McpTokenSpec) -> Minted | None:
        """What the Secret held when it was looked at last; None where that is not known."""
        record = self._records.get(_place(token, spec))
        return record.minted if record is not None and record.owner == token.uid else None

    def kids(self, now: datetime) -> Iterator[str]:
        """The names of the keys that signed tokens which still work."""
        for record in self._records.values():
            if record.minted is not None:
                yield from (record.minted.kid, *(some.kid for some in record.minted.former(now)))

    async def present(self, token: Token, spec: McpTokenSpec) -> Minted | None:
        """What the Secret holds; None where there is nothing usable. A Secret of ours without owner is adopted.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: An earlier object's Secret has it still.
            NotWritten: The API server refused to mend it.
            SigningKeysUnavailable: It holds a JWT, which nobody can judge now.
            ApiError: The API server did not give it.
        """
        place = _place(token, spec)
        record = self._records.get(place)
        existing = self._metadata.get(*place)
        unchanged = existing is None or (record is not None and existing.version <= record.version)
        if record is not None and record.owner == token.uid and unchanged:
            return record.minted
        secret = await self._objects.get(SECRETS, *place)
        if secret is None:
            self._records.pop(place, None)
            return None
        meta = Meta.of(secret)
        Claimant("McpToken", token.key.name, token.uid, TOKEN_LABEL).check(SECRETS, meta)
        text, state = _content(secret)
        minted = await self._read(text, state)
        if minted is None:
            self._records[place] = _Record(token.uid, meta.version, meta.uid, None)
        else:
            await self._apply(token, spec, text, minted, _Record(token.uid, meta.version, meta.uid, minted))
        return minted

    async def write(self, token: Token, spec: McpTokenSpec, text: str, minted: Minted) -> None:
        """Put a token into the Secret, in place of what `present` found there.

        Raises:
            NotWritten: The API server refused it, or somebody changed the Secret meanwhile.
        """
        await self._apply(token, spec, text, minted, self._records.get(_place(token, spec)))

    async def _apply(self, token: Token, spec: McpTokenSpec, text: str, minted: Minted, found: _Record | None) -> None:
        manifest = token_secret(token, spec, text, minted.state)
        if found is not None:
            # Of two operators, one of which has not noticed yet that its time is over, one is refused.
            manifest["metadata"]["resourceVersion"] = str(found.version)
        place = _place(token, spec)
        try:
            applied = Meta.of(await self._objects.apply(manifest, found.secret_uid if found is not None else None))
        except ApiError as error:
            if isinstance(error, Conflict):
                self._records.pop(place, None)
            raise NotWritten(found.minted if found is not None else None, error) from error
        self._records[place] = _Record(token.uid, applied.version, applied.uid, minted)

    async def _read(self, text: str, state: State) -> Minted | None:
        if json_web_tokens.looks_like_one(text):
            keys = await self._signing_keys.obtain()
            said = json_web_tokens.read(text, keys.keys)
            return Minted(said.id, None, said.kid, said.claims, state) if said is not None else None
        if any(some.kid for some in state.former):
            # Sidecars are told the keys of tokens that still work.
            await self._signing_keys.obtain()
        return read_opaque(text, state)


def read_opaque(text: str, state: State = NOTHING) -> Minted | None:
    """What an opaque token is; None where the text is none."""
    parsed = tokens.parse(text)
    if parsed is None or parsed.is_probe:
        return None
    return Minted(parsed.id, tokens.sha256_hex(text), state=state)


def _place(token: Token, spec: McpTokenSpec) -> Key:
    return Key(token.key.namespace, token_secret_name(token.key.name, spec))


def _content(secret: dict[str, Any]) -> tuple[str, State]:
    state = State.parse((secret["metadata"].get("annotations") or {}).get(STATE_ANNOTATION))
    try:
        text = base64.b64decode((secret.get("data") or {}).get(TOKEN_KEY, ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", state
    return text, state
