"""Which tokens a host has room for."""

from datetime import timedelta

from fairlead_operator.reconcile.grants import MOST_BYTES, MOST_TOKENS, Told, with_tokens
from fairlead_sidecar.config import (
    JwtTrust,
    Permission,
    PinnedHostKeys,
    SecretFiles,
    SidecarConfig,
    Target,
    TokenGrant,
    ToolSelection,
)
from tests.unit.operator.states import NOW, PIN, later

TRUST = JwtTrust(issuer="https://mcp.example.com", audiences=("http://rh-web-01.shop.svc:8080/mcp",), keys=())
CONFIG = SidecarConfig(
    instance="1",
    generation=1,
    namespace="shop",
    name="web-01",
    target=Target(address="web-01.internal", username="deploy"),
    auth=SecretFiles(secret_name="web-01-ssh"),
    host_key=PinnedHostKeys(public_keys=(PIN,)),
)


def told(number: int, *, tokens: int = 1, ends: float = 3600, large: bool = False, jwt: bool = False) -> Told:
    """The `number`-th token, by age."""
    tools = ToolSelection(allow=tuple(f"{index:0128}" for index in range(128))) if large else ToolSelection()
    made = tuple(
        TokenGrant(
            id=f"t{number}-{index}",
            uid=str(number),
            subject="agent",
            secret_sha256=None if jwt else f"{number:060}{index:04}",
            permissions=frozenset({Permission.VIEW}),
            tools=tools,
            expires_at=later(ends),
        )
        for index in range(tokens)
    )
    return Told(str(number), NOW - timedelta(days=10) + timedelta(seconds=number), made)


def fit(*some: Told) -> tuple[SidecarConfig, frozenset[str]]:
    return with_tokens(CONFIG, some, probe_sha256="f" * 64, trust=TRUST, now=NOW)


def test_the_youngest_of_too_many_tokens_are_left_out() -> None:
    many = [told(number, tokens=2) for number in range(MOST_TOKENS + 2)]
    config, left_out = fit(*reversed(many))
    assert left_out == {str(MOST_TOKENS), str(MOST_TOKENS + 1)}
    assert len(config.tokens) == 2 * MOST_TOKENS, "tokens of the past take no place of their own"


def test_suspended_tokens_take_no_place_and_expired_ones_the_last() -> None:
    many = [told(number) for number in range(MOST_TOKENS - 1)]
    suspended, expired, young = Told("suspended", NOW, ()), told(1, ends=-1), told(MOST_TOKENS + 5)
    config, left_out = fit(suspended, Told("expired", expired.created, expired.grants), *many, young)
    assert left_out == {"expired"}
    assert young.grants[0] in config.tokens


def test_a_configuration_stays_below_what_a_secret_holds() -> None:
    many = [told(number, large=True) for number in range(100)]
    config, left_out = fit(*many)
    assert MOST_BYTES - 20_000 < len(config.render().encode()) <= MOST_BYTES
    assert left_out == {str(number) for number in range(100 - len(left_out), 100)}
    _, also = fit(*many, told(200))
    assert also == left_out, "a small one still fits behind large ones that don't"


def test_sidecars_are_told_of_keys_only_while_there_are_jwts() -> None:
    assert fit(told(1))[0].jwt is None
    assert fit(told(1), told(2, jwt=True))[0].jwt == TRUST
    before = fit(told(2, jwt=True))[0]
    after, _ = with_tokens(before, [told(1)], probe_sha256="e" * 64, trust=TRUST, now=NOW)
    assert (after.jwt, after.probe_sha256, [grant.uid for grant in after.tokens]) == (None, "e" * 64, ["1"])


def test_without_keys_no_jwt_is_accepted() -> None:
    config, _ = with_tokens(CONFIG, [told(1, jwt=True)], probe_sha256="f" * 64, trust=None, now=NOW)
    assert config.jwt is None
