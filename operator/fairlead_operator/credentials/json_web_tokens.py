"""JSON Web Tokens, signed with Ed25519 (RFC 7519, RFC 8037, RFC 9068): the keys, and the tokens that they sign."""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from fairlead_operator.reconcile.token_rotation import Claims
from fairlead_sidecar.tokens import ID_LENGTH

ALGORITHM = "EdDSA"
TYPE = "at+jwt"
"""An access token, which no other kind of JWT can be taken for (RFC 9068; RFC 8725, section 3.11)."""
_BACKDATED = 60
"""Seconds by which `nbf` is earlier than now, for clocks of sidecars that are behind."""
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key with a name."""

    kid: str
    """Its thumbprint (RFC 7638)."""
    created: int
    """Seconds since 1970."""
    private: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls, now: datetime) -> "SigningKey":
        """A new key."""
        return cls._of(Ed25519PrivateKey.generate(), int(now.timestamp()))

    @classmethod
    def parse(cls, jwk: Mapping[str, Any]) -> "SigningKey":
        """Read a private JSON Web Key.

        Raises:
            ValueError: It is none.
        """
        try:
            key = OKPAlgorithm.from_jwk(dict(jwk))
            created = int(jwk.get("iat", 0))
        except (jwt.InvalidKeyError, TypeError) as error:
            raise ValueError("no JSON Web Key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("no private Ed25519 key")  # noqa: TRY004 - a bad text, no misuse of this function
        return cls._of(key, created)

    @classmethod
    def _of(cls, key: Ed25519PrivateKey, created: int) -> "SigningKey":
        public = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        # The members that count, in this order (RFC 7638, section 3; RFC 8037, section 2).
        text = json.dumps({name: public[name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
        return cls(_base64url(hashlib.sha256(text.encode()).digest()), created, key)

    def public_jwk(self) -> dict[str, str]:
        """The public half, as sidecars and gateways are given it (RFC 7517)."""
        key = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": key["kty"], "crv": key["crv"], "x": key["x"], "kid": self.kid, "alg": ALGORITHM, "use": "sig"}

    def private_jwk(self) -> dict[str, Any]:
        """Both halves, as the Secret holds them."""
        return {**OKPAlgorithm.to_jwk(self.private, as_dict=True), "kid": self.kid, "iat": self.created}


@dataclass(frozen=True)
class ReadToken:
    """What a JWT in a Secret says."""

    id: str
    kid: str
    claims: Claims


def sign(key: SigningKey, claims: Claims, now: datetime) -> str:
    """A new token with an id of its own."""
    issued = int(now.timestamp())
    payload = {
        "iss": claims.issuer,
        "sub": claims.subject,
        "client_id": claims.client,
        "aud": list(claims.audiences),
        "jti": "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_LENGTH)),
        "iat": issued,
        "nbf": issued - _BACKDATED,
        "exp": claims.expires,
    }
    return jwt.encode(payload, key.private, algorithm=ALGORITHM, headers={"kid": key.kid, "typ": TYPE})


def looks_like_one(text: str) -> bool:
    """Whether it has a JWT's three parts."""
    return text.count(".") == 2


def read(text: str, keys: Iterable[SigningKey]) -> ReadToken | None:
    """What a token says that one of these keys signed, whether its time is over or not; None where none did."""
    try:
        kid = jwt.get_unverified_header(text).get("kid")
        key = next((key for key in keys if key.kid == kid), None)
        if key is None:
            return None
        payload = jwt.decode(
            text,
            key.private.public_key(),
            algorithms=[ALGORITHM],
            options={
                "require": ["iss", "sub", "client_id", "aud", "jti", "exp"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            },
        )
        claims = Claims(
            issuer=payload["iss"],
            subject=payload["sub"],
            client=payload["client_id"],
            audiences=tuple(payload["aud"]),
            expires=int(payload["exp"]),
        )
        return ReadToken(str(payload["jti"]), key.kid, claims)
    except (jwt.PyJWTError, TypeError, ValueError):
        return None


def expires(end: datetime) -> int:
    """`exp` for this moment: whole seconds, never later."""
    return int(end.astimezone(UTC).timestamp())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
