"""Tokens of the format JWT: their claims follow their hosts, their keys rotate, and both are told to hosts in time."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt

from tests.integration.operator.control_plane import OPERATOR_NAMESPACE
from tests.integration.operator.manifests import host, token
from tests.integration.operator.running import Cluster, RunningOperator, until

KEYS = "fairlead-jwt-keys"


def _text(cluster: Cluster) -> str:
    found = cluster.get("secret", "mcpt-agent")
    return base64.b64decode(found["data"]["token"]).decode() if found else ""


def _checked(cluster: Cluster, text: str, name: str = "web-01") -> dict[str, Any]:
    """What a token says, checked as the host is told to."""
    trust = (cluster.configuration(name) or {})["jwt"]
    kid = jwt.get_unverified_header(text)["kid"]
    (key,) = (key for key in trust["keys"] if key["kid"] == kid)
    claims: dict[str, Any] = jwt.decode(
        text, jwt.PyJWK(key), algorithms=["EdDSA"], audience=trust["audiences"], issuer=trust["issuer"]
    )
    return claims


def _keys(cluster: Cluster) -> list[str]:
    """The names of all signing keys, the one that signs first."""
    text = cluster.plane.kubectl("-n", OPERATOR_NAMESPACE, "get", "secret", KEYS, "-o", "jsonpath={.data.jwks\\.json}")
    return [key["kid"] for key in json.loads(base64.b64decode(text))["keys"]]


def _kid(text: str) -> str:
    return str(jwt.get_unverified_header(text)["kid"])


def _given(cluster: Cluster, **spec: Any) -> str:
    cluster.plane.apply(host(cluster.namespace))
    until(cluster.configuration, "the host has a configuration")
    cluster.plane.apply(token(cluster.namespace, format="JWT", **spec))
    until(cluster.tokens, "the host knows the token")
    return _text(cluster)


def test_a_host_is_told_how_to_judge_its_tokens_while_it_has_any(cluster: Cluster, operator: RunningOperator) -> None:
    text = _given(cluster)
    claims = _checked(cluster, text)
    namespace = cluster.namespace
    assert claims["aud"] == [
        f"http://mcp.example.com/{namespace}/web-01/mcp",
        f"http://rh-web-01.{namespace}.svc:8080/{namespace}/web-01/mcp",
    ]
    assert (claims["sub"], claims["client_id"]) == ("agent", f"{namespace}/agent")
    grants = (cluster.configuration() or {})["tokens"]
    assert [(grant["id"], grant["secret_sha256"]) for grant in grants] == [(claims["jti"], None)]
    cluster.plane.apply(token(cluster.namespace, format="JWT", suspended=True))
    until(lambda: (cluster.configuration() or {})["jwt"] is None, "no JWT is accepted any more", seconds=2)


def test_a_host_that_joins_or_leaves_brings_another_token(cluster: Cluster, operator: RunningOperator) -> None:
    before = _given(cluster)
    cluster.plane.apply(host(cluster.namespace, name="web-02"))
    until(lambda: _text(cluster) != before, "another token names both hosts")
    until(lambda: len(cluster.tokens("web-02")) == 2, "the new host knows it, too")
    both = _text(cluster)
    assert len(_checked(cluster, both, "web-02")["aud"]) == 4
    assert _checked(cluster, before), "the former one works where it did, for the overlap"
    cluster.delete("remotehost", "web-02")
    until(lambda: _text(cluster) != both, "another token names one host")
    assert len(_checked(cluster, _text(cluster))["aud"]) == 2


def test_formats_give_way_to_each_other_with_an_overlap(cluster: Cluster, operator: RunningOperator) -> None:
    signed = _given(cluster)
    cluster.plane.apply(token(cluster.namespace, format="Opaque"))
    until(lambda: _text(cluster).startswith("flt_"), "the token is opaque")
    assert _checked(cluster, signed), "the JWT works for the overlap"
    cluster.plane.apply(token(cluster.namespace, format="JWT"))
    until(lambda: not _text(cluster).startswith("flt_"), "the token is a JWT")
    until(lambda: len(cluster.tokens()) == 3, "all three work")


def test_another_key_signs_on_request_and_tokens_of_the_former_go_on(
    cluster: Cluster, operator: RunningOperator
) -> None:
    text = _given(cluster)
    before = _keys(cluster)
    cluster.plane.kubectl(
        "-n", OPERATOR_NAMESPACE, "annotate", "secret", KEYS, f"fairlead.dev/rotate={cluster.namespace}", "--overwrite"
    )
    until(lambda: _keys(cluster)[1:] == before, "another key signs")
    until(lambda: (cluster.configuration() or {})["jwt"]["keys"][0]["kid"] == _keys(cluster)[0], "the host knows it")
    assert _text(cluster) == text, "an agent keeps its token"
    assert _checked(cluster, text)
    cluster.plane.kubectl("-n", cluster.namespace, "annotate", "mcptoken", "agent", "fairlead.dev/rotate=1")
    until(lambda: _text(cluster) != text, "the next token")
    assert _kid(_text(cluster)) == _keys(cluster)[0]
    assert _checked(cluster, _text(cluster))
    assert _checked(cluster, text)


def test_after_the_keys_were_deleted_no_token_of_theirs_works(cluster: Cluster, operator: RunningOperator) -> None:
    before = _given(cluster)
    keys = _keys(cluster)
    cluster.plane.kubectl("-n", OPERATOR_NAMESPACE, "delete", "secret", KEYS)
    until(lambda: _text(cluster) != before, "the token was made anew")
    assert _kid(_text(cluster)) not in keys
    until(lambda: len(cluster.tokens()) == 1, "the former token is gone")
    assert _checked(cluster, _text(cluster))
    assert {key["kid"] for key in (cluster.configuration() or {})["jwt"]["keys"]}.isdisjoint(keys)


def test_a_token_that_somebody_changed_in_its_secret_is_no_token(cluster: Cluster, operator: RunningOperator) -> None:
    text = _given(cluster)
    header, payload, signature = text.split(".")
    forged = f"{header}.{payload[:-4]}AAAA.{signature}"
    data = {"token": base64.b64encode(forged.encode()).decode()}
    cluster.plane.kubectl("-n", cluster.namespace, "patch", "secret", "mcpt-agent", "-p", json.dumps({"data": data}))
    until(lambda: _text(cluster) not in ("", text, forged), "the token was made anew")
    until(lambda: _checked(cluster, _text(cluster))["jti"] in cluster.tokens(), "the host knows it")


def test_a_restart_keeps_token_and_keys(cluster: Cluster, start_operator: Callable[..., RunningOperator]) -> None:
    operator = start_operator()
    operator.until_working()
    text = _given(cluster)
    versions = cluster.settled()
    operator.stop()
    again = start_operator()
    again.until_working()
    until(lambda: again.metric("fairlead_reconciles_total") >= 2, "everything was looked at")
    assert _text(cluster) == text
    assert cluster.versions() == versions


def test_keys_that_cannot_be_used_stop_no_other_token(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.kubectl("-n", OPERATOR_NAMESPACE, "delete", "secret", KEYS, "--ignore-not-found")
    cluster.plane.kubectl("-n", OPERATOR_NAMESPACE, "create", "secret", "generic", KEYS, "--from-literal=jwks.json={}")
    try:
        cluster.plane.apply(host(cluster.namespace), token(cluster.namespace, format="JWT"))
        cluster.plane.apply(token(cluster.namespace, name="other"))
        until(lambda: cluster.reason("mcptoken", "agent") == "SigningKeysUnavailable", "the reason is told")
        until(lambda: len(cluster.tokens()) == 1, "the other token works")
    finally:
        cluster.plane.kubectl("-n", OPERATOR_NAMESPACE, "delete", "secret", KEYS)
    until(lambda: len(cluster.tokens()) == 2, "both work once there are keys")


def test_a_jwt_for_more_hosts_than_a_header_holds_says_so_and_the_former_one_stays(
    cluster: Cluster, operator: RunningOperator
) -> None:
    before = _given(cluster)
    cluster.plane.apply(*(host(cluster.namespace, name=f"web-{number:03}", suspended=True) for number in range(100)))
    until(lambda: cluster.reason("mcptoken", "agent") == "TooManyHosts", "the reason is told")
    assert len(_text(cluster)) <= 7 * 1024
    until(lambda: _checked(cluster, before) and _checked(cluster, _text(cluster)), "what works goes on")
