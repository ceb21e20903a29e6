"""Tokens of the format JWT (RFC 7519), judged as RFC 8725 wants it: one algorithm, known keys, all claims.

Loaded only where a configuration trusts any. That a token is still among those in force is another question: see
`Grants`.
"""

import hashlib
import logging
import time
from dataclasses import dataclass

from jwt.api_jwk import PyJWK
from jwt.api_jws import PyJWS
from jwt.api_jwt import PyJWT
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    PyJWTError,
)

from fairlead_sidecar.access.grants import Unauthenticated
from fairlead_sidecar.config import JwtTrust

logger = logging.getLogger(__name__)

ALGORITHM = "EdDSA"
"""RFC 8037; the only one that is accepted (RFC 8725, 3.1)."""
TYPE = "at+jwt"
"""The `typ` of access tokens (RFC 9068), so that no other kind of JWT can be taken for one (RFC 8725, 3.11)."""
CLAIMS = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp")
"""What a token must have."""
LEEWAY_SECONDS = 10
"""How far the issuer's clock may be from this machine's."""
LONGEST = 8192
"""Characters; proxies take no longer header line either."""
_KEPT = 1024
_TEXTS: dict[type[PyJWTError], str] = {
    ImmatureSignatureError: "The token is not valid yet: compare the clocks.",
    InvalidAudienceError: "The token is for other hosts.",
    InvalidIssuerError: "The token is another issuer's.",
}


@dataclass(frozen=True)
class _Verified:
    token_id: str
    expires: float


class JwtVerifier:
    """Judges tokens by what one configuration trusts. What it remembers ends with that configuration."""

    def __init__(self, trust: JwtTrust) -> None:
        self._trust = trust
        self._keys = {key["kid"]: read for key in trust.keys if "kid" in key and (read := _read(key)) is not None}
        self._jws = PyJWS()
        self._jwt = PyJWT({"require": list(CLAIMS)})
        self._verified: dict[bytes, _Verified] = {}

    def token_id(self, text: str) -> str:
        """The id of a token (`jti`) whose signature and claims are right.

        Raises:
            Unauthenticated: They are not.
        """
        digest = hashlib.sha256(text.encode()).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = self._verify(text)
            if len(self._verified) >= _KEPT:
                self._verified.clear()
            self._verified[digest] = verified
        # PyJWT counts the same way: the leeway is for its whole seconds.
        if verified.expires <= time.time() - LEEWAY_SECONDS:
            raise Unauthenticated("expired_token", "The token has expired.", verified.token_id)
        return verified.token_id

    def _verify(self, text: str) -> _Verified:
        if len(text) > LONGEST:
            raise Unauthenticated("invalid_jwt", f"A token may have at most {LONGEST} characters.")
        try:
            # Only the first of the three parts: the key is to be found before anything is believed.
            header = self._jws.get_unverified_header(f"{text.partition('.')[0]}..")
            key = self._keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != TYPE:
                raise Unauthenticated("invalid_jwt", "The token was not made for this host: key or type are unknown.")
            claims = self._jwt.decode(
                text,
                key,
                [ALGORITHM],
                audience=self._trust.audiences,
                issuer=self._trust.issuer,
                leeway=LEEWAY_SECONDS,
            )
        except ExpiredSignatureError:
            raise Unauthenticated("expired_token", "The token has expired.") from None
        except PyJWTError as error:
            # Their own texts may hold parts of the token.
            text = _TEXTS.get(type(error), "This is no valid token: it may have been cut when copied.")
            raise Unauthenticated("invalid_jwt", text) from None
        return _Verified(claims["jti"], float(claims["exp"]))


def _read(key: dict[str, str]) -> PyJWK | None:
    """A public key for Ed25519; None where it is none, and no token of it is accepted."""
    try:
        return PyJWK(key, ALGORITHM) if (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519") else None
    except PyJWTError:
        logger.warning("The key %.64r of the configuration can't be read: no token of it is accepted", key.get("kid"))
        return None
