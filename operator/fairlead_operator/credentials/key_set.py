"""The keys that sign JSON Web Tokens: which of them signs, when another takes over, and when one may go."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fairlead_operator.credentials.json_web_tokens import SigningKey

LIFETIME = timedelta(days=30)
"""After so long another key signs."""
UNUSED_FOR = timedelta(minutes=10)
"""How long a key stays for which no token is known any more, after another one took over."""


@dataclass(frozen=True)
class KeySet:
    """Keys, the youngest first: this one signs, and the others are there for the tokens that they signed."""

    keys: tuple[SigningKey, ...]
    request: str = ""
    """The newest value of the annotation that was obeyed."""

    @property
    def signing(self) -> SigningKey:
        """The key that signs."""
        return self.keys[0]

    @property
    def kids(self) -> frozenset[str]:
        """All their names."""
        return frozenset(key.kid for key in self.keys)

    @classmethod
    def parse(cls, text: str) -> "KeySet":
        """Read the JSON Web Key Set that a Secret holds.

        Raises:
            ValueError: It is none, or has no key.
        """
        document = json.loads(text)
        try:
            keys = tuple(SigningKey.parse(jwk) for jwk in document["keys"])
            request = str(document.get("rotatedFor", ""))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("no JSON Web Key Set") from error
        if not keys:
            raise ValueError("a JSON Web Key Set without keys")
        return cls(keys, request)

    def render(self) -> str:
        """The same as text: a secret."""
        return json.dumps({"keys": [key.private_jwk() for key in self.keys], "rotatedFor": self.request})


def first_keys(now: datetime, request: str = "") -> KeySet:
    """A set with one new key."""
    return KeySet((SigningKey.generate(now),), request)


def renewed(keys: KeySet, request: str, in_use: Collection[str] | None, now: datetime) -> KeySet:
    """The set as it should be: with another key in front where it is time, without those that nothing needs.

    Args:
        keys: The set as it is.
        request: The annotation by which people ask for another key.
        in_use: The names of the keys of all tokens that still work; None: not known yet.
        now: The time.
    """
    asked = bool(request) and request != keys.request
    if asked or now.timestamp() - keys.signing.created >= LIFETIME.total_seconds():
        keys = KeySet((SigningKey.generate(now), *keys.keys), request or keys.request)
    if in_use is None or now.timestamp() - keys.signing.created < UNUSED_FOR.total_seconds():
        return keys
    return replace(keys, keys=(keys.signing, *(key for key in keys.keys[1:] if key.kid in in_use)))
