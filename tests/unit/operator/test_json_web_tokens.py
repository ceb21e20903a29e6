import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from fairlead_operator.credentials.json_web_tokens import SigningKey, looks_like_one, read, sign
from fairlead_operator.credentials.key_set import LIFETIME, UNUSED_FOR, KeySet, first_keys, renewed
from fairlead_operator.reconcile.jwt_claims import MOST_BYTES, claims, jwt_trust, too_large
from fairlead_operator.reconcile.token_rotation import Claims
from fairlead_operator.settings import Settings
from fairlead_sidecar.access.grants import Unauthenticated
from fairlead_sidecar.access.jwt import JwtVerifier
from fairlead_sidecar.config import Endpoint
from tests.unit.operator.states import NOW, SETTINGS, host, later
from tests.unit.operator.test_tokens import token

KEY = SigningKey.generate(NOW)
CLAIMS = Claims(
    "https://mcp.example.com", "agent", "shop/agent", ("https://a.example.com/mcp", "http://b/mcp"), 1_800_000_000
)


def test_a_key_is_named_by_its_thumbprint() -> None:
    # RFC 8037, appendix A.
    known = SigningKey.parse(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )
    assert known.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_public_half_holds_nothing_private() -> None:
    assert set(KEY.public_jwk()) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert KEY.private_jwk()["d"] not in repr(KEY)
    assert SigningKey.parse(KEY.private_jwk()) == KEY


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "RSA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "d": "AAAA"},
        {name: KEY.public_jwk()[name] for name in ("kty", "crv", "x")},
        {**KEY.private_jwk(), "iat": None},
    ],
)
def test_what_is_no_private_key_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"JSON Web Key|private Ed25519"):
        SigningKey.parse(jwk)


def test_a_token_says_what_it_was_told_and_any_library_can_check_it() -> None:
    text = sign(KEY, CLAIMS, NOW)
    assert looks_like_one(text)
    public = jwt.PyJWK(KEY.public_jwk())
    payload = jwt.decode(
        text, public, algorithms=["EdDSA"], issuer=CLAIMS.issuer, audience="http://b/mcp", options={"verify_iat": False}
    )
    assert (payload["sub"], payload["client_id"]) == ("agent", "shop/agent")
    assert (payload["exp"], payload["iat"]) == (CLAIMS.expires, int(NOW.timestamp()))
    assert payload["nbf"] < payload["iat"]
    assert jwt.get_unverified_header(text) == {"alg": "EdDSA", "kid": KEY.kid, "typ": "at+jwt"}
    said = read(text, [SigningKey.generate(NOW), KEY])
    assert said is not None
    assert (said.id, said.kid, said.claims) == (payload["jti"], KEY.kid, CLAIMS)
    assert sign(KEY, CLAIMS, NOW) != text, "each has an id of its own"


def test_a_sidecar_takes_what_the_operator_signs_for_its_host_and_nothing_else() -> None:
    some = token()
    assert some.spec is not None
    now = datetime.now(UTC)
    made = replace(claims(some, some.spec, [host()], SETTINGS), expires=int(now.timestamp()) + 60)
    endpoint = Endpoint(path="/shop/web-01", public_url="http://mcp.example.com/shop/web-01/mcp")
    trust = jwt_trust(host().key, endpoint, (KEY.public_jwk(),), SETTINGS.issuer)
    text = sign(KEY, made, now)
    said = read(text, [KEY])
    assert said is not None
    assert JwtVerifier(trust).token_id(text) == said.id
    for changed in (replace(made, issuer="https://x"), replace(made, audiences=("https://x",))):
        with pytest.raises(Unauthenticated):
            JwtVerifier(trust).token_id(sign(KEY, changed, now))
    with pytest.raises(Unauthenticated):
        JwtVerifier(trust).token_id(sign(SigningKey.generate(now), made, now))


def test_an_expired_token_can_still_be_read() -> None:
    said = read(sign(KEY, replace(CLAIMS, expires=1), NOW), [KEY])
    assert said is not None
    assert said.claims.expires == 1


def _forged(**changes: Any) -> str:
    header, payload, signature = sign(KEY, CLAIMS, NOW).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return (
        f"{header}.{base64.urlsafe_b64encode(json.dumps(claims | changes).encode()).decode().rstrip('=')}.{signature}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        "flt_abcdefghij23_x",
        _forged(sub="root"),
        jwt.encode({"iss": "x"}, KEY.private, algorithm="EdDSA", headers={"kid": KEY.kid}),
        jwt.encode({"iss": "x"}, KEY.private, algorithm="EdDSA"),
        jwt.encode({"iss": "x"}, "k" * 64, algorithm="HS256", headers={"kid": KEY.kid}),
        jwt.encode({"iss": "x"}, "", algorithm="none", headers={"kid": KEY.kid}),
        sign(replace(SigningKey.generate(NOW), kid=KEY.kid), CLAIMS, NOW),
    ],
)
def test_what_none_of_the_keys_signed_is_no_token(text: str) -> None:
    assert read(text, [KEY]) is None


def test_a_set_of_keys_is_read_as_it_was_written() -> None:
    keys = KeySet((KEY, SigningKey.generate(later(-60))), "2026-03-01")
    assert KeySet.parse(keys.render()) == keys


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": {}}', '{"keys": [3]}', '{"keys": [{}]}'])
def test_a_set_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        KeySet.parse(text)


def test_another_key_signs_after_a_month_or_on_request_and_the_former_stays_while_it_is_needed() -> None:
    keys = first_keys(NOW)
    month = NOW + LIFETIME
    assert renewed(keys, "", frozenset(), month - timedelta(seconds=1)) == keys
    after = renewed(keys, "", frozenset({keys.signing.kid}), month)
    assert after.keys[1:] == keys.keys
    assert after.signing.created == int(month.timestamp())
    asked = renewed(keys, "now", None, later(60))
    assert (asked.keys[1:], asked.request) == (keys.keys, "now")
    assert renewed(asked, "now", None, later(120)) == asked
    assert renewed(asked, "", None, later(120)) == asked


def test_a_key_goes_once_no_token_needs_it() -> None:
    former = SigningKey.generate(later(-3600))
    keys = KeySet((SigningKey.generate(NOW), former))
    late = NOW + UNUSED_FOR
    assert renewed(keys, "", frozenset({former.kid}), late) == keys
    assert renewed(keys, "", None, late) == keys
    assert renewed(keys, "", frozenset(), late - timedelta(seconds=1)) == keys
    assert renewed(keys, "", frozenset(), late).keys == keys.keys[:1]


def test_a_token_names_the_urls_of_all_its_hosts() -> None:
    some = token(ttl="13h")
    assert some.spec is not None
    made = claims(some, some.spec, [host(), host(name="db-01")], SETTINGS)
    assert made.audiences == (
        "http://mcp.example.com/shop/db-01/mcp",
        "http://mcp.example.com/shop/web-01/mcp",
        "http://rh-db-01.shop.svc:8080/shop/db-01/mcp",
        "http://rh-web-01.shop.svc:8080/shop/web-01/mcp",
    )
    assert (made.issuer, made.subject) == ("https://mcp.example.com", "agent")
    assert made.expires == int(later(3600).timestamp())
    assert claims(some, some.spec, [], SETTINGS).audiences == ()


def test_a_sidecar_takes_the_urls_that_a_token_names() -> None:
    some = token()
    assert some.spec is not None
    named = claims(some, some.spec, [host()], SETTINGS).audiences
    endpoint = Endpoint(path="/shop/web-01", public_url="http://mcp.example.com/shop/web-01/mcp")
    trust = jwt_trust(host().key, endpoint, (KEY.public_jwk(),), SETTINGS.issuer)
    assert sorted(trust.audiences) == list(named)
    assert trust.keys == (KEY.public_jwk(),)
    assert len(jwt_trust(host().key, Endpoint(path="/x"), (), "i").audiences) == 1


def test_a_token_for_too_many_hosts_says_what_to_do() -> None:
    assert too_large(MOST_BYTES, 3) == ""
    assert "format Opaque" in too_large(MOST_BYTES + 1, 64)


@pytest.mark.parametrize(
    ("written", "issuer"),
    [
        ({"endpoint_host": "mcp.example.com"}, "https://mcp.example.com"),
        ({"endpoint_url_prefix": "https://agents.example.com:8443/"}, "https://agents.example.com:8443"),
        ({"token_issuer": "https://id.example.com/x", "endpoint_host": "mcp.example.com"}, "https://id.example.com/x"),
        ({"endpoint_host": "{name}.{namespace}.example.com"}, "https://fairlead-operator.here.svc"),
        ({}, "https://fairlead-operator.here.svc"),
    ],
)
def test_the_issuer_is_what_the_settings_say_or_the_default_endpoint(written: dict[str, Any], issuer: str) -> None:
    assert Settings(namespace="here", sidecar_image="sidecar:1", **written).issuer == issuer
