"""Tokens of the format JWT, with real clients; and forgeries, signed with the real key where that makes them harder."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from fairlead_operator.credentials.json_web_tokens import SigningKey
from tests.e2e.support.agent import call, initialize, seconds_until_refused
from tests.e2e.support.hosts import Shop
from tests.e2e.support.objects import mcp_token
from tests.e2e.support.waiting import wait_until


@pytest.fixture
def signed(shop: Shop) -> str:
    """A JWT for `web-01`, from its Secret."""
    shop.kube.apply(mcp_token(shop.namespace, "signed", ["web-01"], format="JWT"))
    shop.wait_token_ready("signed")
    return shop.token("signed")


@pytest.mark.alone
async def test_an_agent_works_with_a_jwt_until_it_is_revoked(shop: Shop, signed: str) -> None:
    url = shop.url()
    done = await call(url, signed, "execute_command", command="echo here")
    assert not done["is_error"]
    claims = jwt.decode(signed, options={"verify_signature": False})
    assert url in claims["aud"]
    assert (claims["sub"], claims["client_id"]) == ("signed-agent", f"{shop.namespace}/signed")
    shop.kube.delete("mcptoken", "signed", shop.namespace, wait=False)
    assert seconds_until_refused(url, signed) < 2.0


Forge = Callable[[SigningKey, dict[str, Any]], str]


def _sign(key: SigningKey, claims: dict[str, Any], **header: Any) -> str:
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid, "typ": "at+jwt", **header})


def _mac(key: SigningKey, claims: dict[str, Any]) -> str:
    """Sealed with the public key, which everybody has, as the secret of a MAC."""
    headers = {"kid": key.kid, "typ": "at+jwt"}
    return jwt.encode(claims, key.public_jwk()["x"], algorithm="HS256", headers=headers)


def _unsigned(key: SigningKey, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", algorithm="none", headers={"kid": key.kid, "typ": "at+jwt"})


def _stranger() -> SigningKey:
    return SigningKey.generate(datetime.now(UTC))


FORGERIES: dict[str, Forge] = {
    "another host's URL": lambda key, claims: _sign(key, claims | {"aud": ["https://mcp.example.com/else/mcp"]}),
    "no audience": lambda key, claims: _sign(key, {name: claims[name] for name in claims if name != "aud"}),
    "another issuer": lambda key, claims: _sign(key, claims | {"iss": "https://attacker.example.com"}),
    "an id that no host was told": lambda key, claims: _sign(key, claims | {"jti": "abcdefghij22"}),
    "over": lambda key, claims: _sign(key, claims | {"exp": int(time.time()) - 60}),
    "not yet valid": lambda key, claims: _sign(key, claims | {"nbf": int(time.time()) + 600}),
    "another kind of token": lambda key, claims: _sign(key, claims, typ="JWT"),
    "an unknown key": lambda key, claims: _sign(_stranger(), claims),
    "the name of another key": lambda key, claims: _sign(key, claims, kid=_stranger().kid),
    "the right name of a wrong key": lambda key, claims: _sign(_stranger(), claims, kid=key.kid),
    "no signature": _unsigned,
    "a MAC": _mac,
}


def test_no_forgery_is_accepted_not_even_with_the_real_key(shop: Shop, signed: str) -> None:
    url = shop.url()
    secret = shop.kube.get("secret", "fairlead-jwt-keys", shop.installation.namespace)
    assert secret is not None
    key = SigningKey.parse(json.loads(base64.b64decode(secret["data"]["jwks.json"]))["keys"][0])
    claims = jwt.decode(signed, options={"verify_signature": False})
    assert initialize(url, _sign(key, claims)).status_code == 200, "the same token, signed again, is the same token"
    answers = {name: initialize(url, forge(key, claims)).status_code for name, forge in FORGERIES.items()}
    assert answers == dict.fromkeys(FORGERIES, 401)
    assert initialize(url, signed).status_code == 200


async def test_an_opaque_token_and_a_jwt_work_beside_each_other_while_the_format_changes(shop: Shop) -> None:
    url, opaque = shop.url(), shop.token()
    shop.kube.patch("mcptoken", "agent", shop.namespace, {"spec": {"format": "JWT"}})
    wait_until(lambda: shop.token() != opaque, what="a JWT", interval=0.05)
    for text in (shop.token(), opaque):
        assert (await call(url, text, "connection_status"))["host"] == "web-01"


def test_another_signing_key_takes_over_and_a_token_of_the_former_goes_on(shop: Shop, signed: str) -> None:
    url = shop.url()
    kid = jwt.get_unverified_header(signed)["kid"]
    shop.kube.run(
        *("annotate", "secret", "fairlead-jwt-keys", "-n", shop.installation.namespace, "--overwrite"),
        f"fairlead.dev/rotate={shop.namespace}",
    )
    statuses = set()

    def taken_over() -> bool:
        statuses.add(initialize(url, signed).status_code)
        shop.kube.run(
            *("annotate", "mcptoken", "signed", "-n", shop.namespace, "--overwrite"),
            f"fairlead.dev/rotate={time.monotonic()}",
        )
        return bool(jwt.get_unverified_header(shop.token("signed"))["kid"] != kid)

    wait_until(taken_over, interval=2, what="the new key signs")
    assert statuses == {200}
    assert initialize(url, shop.token("signed")).status_code == 200
    assert initialize(url, signed).status_code == 200
