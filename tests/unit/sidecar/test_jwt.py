"""Tokens of the format JWT, and what RFC 8725 has to say about them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from jwt.api_jwt import PyJWT

from fairlead_sidecar.access.grants import AddressRefused, Grants, Unauthenticated
from fairlead_sidecar.access.jwt import LEEWAY_SECONDS, LONGEST
from fairlead_sidecar.config import (
    JwtTrust,
    Permission,
    PinnedHostKeys,
    SecretFiles,
    SidecarConfig,
    Target,
    TokenGrant,
)

ISSUER = "https://fairlead.example.com"
HERE, INSIDE = "https://mcp.example.com/shop/web-01/mcp", "http://rh-web-01.shop.svc:8080/shop/web-01/mcp"
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
ID = "abcdefghij27"


def jwk(key: Any, kid: str, **changes: str) -> dict[str, str]:
    return {**json.loads(OKPAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "EdDSA", "use": "sig", **changes}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole: dict[str, Any] = {
        "iss": ISSUER,
        "aud": ["https://elsewhere.example.com/mcp", HERE],
        "sub": "agent",
        "jti": ID,
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def token(key: Any = KEY, algorithm: str = "EdDSA", header: dict[str, Any] | None = None, **changes: Any) -> str:
    named = {"kid": "one", "typ": "at+jwt"} | (header or {})
    return PyJWT().encode(claims(**changes), key, algorithm, headers=named)


def without(claim: str) -> str:
    missing: dict[str, Any] = {claim: None}
    return token(**missing)


def parts(*values: object, signature: bytes = b"") -> str:
    encoded = [json.dumps(value).encode() for value in values] + [signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in encoded)


def grants(*keys: dict[str, str], trusting: bool = True, **changes: Any) -> Grants:
    grant = TokenGrant(
        **{"id": ID, "uid": "owner", "subject": "agent", "secret_sha256": None, "permissions": {Permission.VIEW}}
        | changes
    )
    trust = JwtTrust(issuer=ISSUER, audiences=(HERE, INSIDE), keys=keys or (jwk(KEY, "one"),))
    return Grants(
        SidecarConfig(
            instance="uid",
            namespace="shop",
            name="web-01",
            target=Target(address="host", username="deploy"),
            auth=SecretFiles(secret_name="s"),
            host_key=PinnedHostKeys(public_keys=("k",)),
            tokens=(grant,),
            jwt=trust if trusting else None,
        )
    )


def refusal(of: Grants, text: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        of.authenticate([f"Bearer {text}"])
    assert not any(part and part in str(refused.value) for part in text.split("."))
    return refused.value


def test_a_token_stands_for_the_grant_that_its_id_names() -> None:
    here = grants()
    for text in (token(), token(aud=INSIDE), token(aud=[INSIDE, HERE])):
        caller = here.authenticate([f"Bearer {text}"])
        assert (caller.owner, caller.subject, caller.token_id, caller.key) == ("owner", "agent", ID, f"jti {ID}")
        assert here.current(caller) is not None


def test_a_known_key_is_told_by_its_id_while_keys_are_rotated() -> None:
    both = grants(jwk(OTHER, "two"), jwk(KEY, "one"))
    for key, kid in ((KEY, "one"), (OTHER, "two")):
        assert both.authenticate([f"Bearer {token(key, header={'kid': kid})}"]).token_id == ID
    assert refusal(both, token(KEY, header={"kid": "two"})).reason == "invalid_jwt"
    assert refusal(grants(jwk(OTHER, "two")), token()).reason == "invalid_jwt"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: token(OTHER), "invalid_jwt"),
        (lambda: token(header={"kid": "unknown"}), "invalid_jwt"),
        (lambda: token(header={"kid": ""}), "invalid_jwt"),
        (lambda: token(header={"typ": "JWT"}), "invalid_jwt"),
        (lambda: token(header={"typ": None}), "invalid_jwt"),
        (lambda: token(header={"crit": ["exp"], "exp": 1}), "invalid_jwt"),
        (lambda: token(iss="https://other.example.com"), "invalid_jwt"),
        (lambda: token(iss=f"{ISSUER}/"), "invalid_jwt"),
        (lambda: token(aud="https://elsewhere.example.com/mcp"), "invalid_jwt"),
        (lambda: token(aud=f"{HERE}/more"), "invalid_jwt"),
        (lambda: token(aud=[]), "invalid_jwt"),
        (lambda: token(aud=7), "invalid_jwt"),
        (lambda: token(jti="abcdefghij22"), "unknown_token"),
        (lambda: token(jti=7), "invalid_jwt"),
        (lambda: token(exp=int(time.time()) - LEEWAY_SECONDS - 1), "expired_token"),
        (lambda: token(nbf=int(time.time()) + LEEWAY_SECONDS + 5), "invalid_jwt"),
        (lambda: token(iat=int(time.time()) + LEEWAY_SECONDS + 5), "invalid_jwt"),
        (lambda: token(exp="never"), "invalid_jwt"),
        (lambda: token()[:-4], "invalid_jwt"),
        (lambda: token(padding="x" * LONGEST), "invalid_jwt"),
        *[(partial(without, claim), "invalid_jwt") for claim in ("iss", "aud", "sub", "jti", "iat", "nbf", "exp")],
    ],
)
def test_everything_else_is_refused(make: Callable[[], str], reason: str) -> None:
    assert refusal(grants(), make()).reason == reason


def test_no_other_algorithm_is_taken() -> None:
    """None of the attacks of RFC 8725, section 2.1."""
    public = jwk(KEY, "one")
    header = {"kid": "one", "typ": "at+jwt"}
    for unsigned in ("none", "None", "nOnE", ""):
        assert refusal(grants(), parts(header | {"alg": unsigned}, claims())).reason == "invalid_jwt"
    assert refusal(grants(), parts(header, claims())).reason == "invalid_jwt"
    body = parts(header | {"alg": "HS256"}, claims()).rpartition(".")[0]
    for secret in (public["x"].encode(), base64.urlsafe_b64decode(public["x"] + "="), json.dumps(public).encode()):
        mac = base64.urlsafe_b64encode(hmac.digest(secret, body.encode(), hashlib.sha256)).decode().rstrip("=")
        assert refusal(grants(), f"{body}.{mac}").reason == "invalid_jwt"
    assert refusal(grants(), token(ec.generate_private_key(ec.SECP256R1()), "ES256")).reason == "invalid_jwt"
    assert refusal(grants(), token(ed448.Ed448PrivateKey.generate())).reason == "invalid_jwt"


def test_a_key_that_the_token_brings_is_not_used() -> None:
    for brought in ({"jwk": jwk(OTHER, "one")}, {"jku": "https://evil.example.com/jwks"}):
        assert refusal(grants(), token(OTHER, header=brought)).reason == "invalid_jwt"


@pytest.mark.parametrize(
    "text",
    ["eyJ..", "eyJ.eyJ.", "eyJhbGciOiJFZERTQSJ9..", parts([], {}), parts({"kid": 7}, {}), parts({"kid": []}, {})],
)
def test_what_only_looks_like_a_token_is_refused(text: str) -> None:
    assert refusal(grants(), text if text.startswith("eyJ") else f"eyJ{text}").reason == "invalid_jwt"


def test_without_trust_a_token_is_refused_with_its_own_reason() -> None:
    assert refusal(grants(trusting=False), token()).reason == "jwt_not_accepted"


def test_a_signature_alone_is_not_enough() -> None:
    """It must be in the list, and as one of this format: who learns an opaque token's id can't have it signed."""
    assert refusal(grants(id="abcdefghij22"), token()).reason == "unknown_token"
    assert refusal(grants(secret_sha256="0" * 64), token()).reason == "unknown_token"


def test_the_list_has_the_last_word_on_time_and_place() -> None:
    assert refusal(grants(expires_at=datetime.now(UTC)), token()).reason == "expired_token"
    with pytest.raises(AddressRefused):
        grants(source_cidrs=("10.0.0.0/8",)).authenticate([f"Bearer {token()}"], "192.0.2.1")


def test_a_token_that_was_good_before_is_refused_once_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    here, text = grants(), token()
    here.authenticate([f"Bearer {text}"])
    later = time.time() + 60 + LEEWAY_SECONDS
    monkeypatch.setattr("fairlead_sidecar.access.jwt.time.time", lambda: later)
    assert refusal(here, text).reason == "expired_token"


def test_a_key_that_cannot_be_read_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    broken = {"kty": "OKP", "crv": "Ed25519", "kid": "two", "x": "AAAA"}
    here = grants(broken, jwk(ed448.Ed448PrivateKey.generate(), "three"), jwk(KEY, "one"))
    assert here.authenticate([f"Bearer {token()}"]).token_id == ID
    assert "two" in caplog.text
    assert refusal(here, token(OTHER, header={"kid": "two"})).reason == "invalid_jwt"
