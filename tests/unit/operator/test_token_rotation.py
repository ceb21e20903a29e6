from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fairlead_operator.reconcile.objects import Token, read_token
from fairlead_operator.reconcile.token_rotation import (
    MOST_FORMER,
    NOTHING,
    Cause,
    Claims,
    Former,
    Minted,
    State,
    cause,
    first,
    next_rotation,
    succeed,
    trusted,
    wake,
)
from tests.unit.operator.golden_files import Golden
from tests.unit.operator.states import NOW, later

CREATED = NOW - timedelta(hours=12)
CLAIMS = Claims(
    "https://mcp.example.com", "agent", "shop/agent", ("https://mcp.example.com/shop/web-01/mcp",), 1_800_000_000
)
OLD = Minted("old", "1" * 64, state=State(since=CREATED, cause="FIRST"))
NEW = Minted("new", "2" * 64)


def token(rotate: str | None = None, **spec: Any) -> Token:
    return read_token(
        {
            "metadata": {
                "name": "agent",
                "uid": "5b1f",
                "resourceVersion": "1",
                "creationTimestamp": CREATED.isoformat(),
                "annotations": {} if rotate is None else {"fairlead.dev/rotate": rotate},
            },
            "spec": {"subject": "agent", "hosts": {"selector": {}}, "permissions": ["View"], **spec},
        }
    )


def why(token: Token, minted: Minted = OLD, wanted: Claims | None = None, *, seconds: float = 0) -> Cause | None:
    assert token.spec is not None
    return cause(token, token.spec, minted, wanted, later(seconds))


def follow(token: Token, old: Minted = OLD, *, seconds: float = 0) -> Minted:
    assert token.spec is not None
    return succeed(token, token.spec, old, NEW, why=Cause.REQUEST, now=later(seconds))


HOURLY = {"interval": "1h", "overlap": "10m"}


def test_without_rotation_a_token_stays_for_its_whole_time() -> None:
    assert why(token()) is None
    assert why(token(ttl="8760h"), seconds=300 * 24 * 3600) is None


def test_a_token_gives_way_when_its_interval_is_over_however_many_were_missed() -> None:
    some = token(rotation={"interval": "13h", "overlap": "1h"})
    assert why(some, seconds=3599) is None
    assert why(some, seconds=3600) is Cause.INTERVAL
    rotated = follow(token(rotation=HOURLY))
    assert why(token(rotation=HOURLY), rotated, seconds=3599) is None
    assert why(token(rotation=HOURLY), rotated, seconds=3600) is Cause.INTERVAL


def test_a_token_of_an_older_operator_counts_from_the_objects_creation() -> None:
    unknown = Minted("old", "1" * 64)
    assert why(token(rotation={"interval": "13h"}), unknown, seconds=3599) is None
    assert why(token(rotation={"interval": "13h"}), unknown, seconds=3600) is Cause.INTERVAL


def test_another_value_of_the_annotation_asks_once() -> None:
    assert why(token(rotate="1")) is Cause.REQUEST
    obeyed = follow(token(rotate="1"))
    assert why(token(rotate="1"), obeyed) is None
    assert why(token(), obeyed) is None
    assert why(token(rotate="2"), obeyed) is Cause.REQUEST
    assert why(token(rotate="1"), follow(token(), obeyed)) is None
    assert why(token(rotate="1"), first(NEW, token(rotate="1"), NOW)) is None


def test_an_expired_token_gives_way_to_none() -> None:
    assert why(token(rotate="1", ttl="12h", rotation=HOURLY)) is None


def test_while_suspended_only_a_person_rotates_and_nothing_of_before_works_again() -> None:
    some = token(suspended=True, rotation=HOURLY)
    assert why(some, seconds=7200) is None
    asked = token(rotate="1", suspended=True)
    assert why(asked) is Cause.REQUEST
    before = follow(token())
    assert follow(asked, before).state.former == ()


def test_another_format_or_other_claims_make_another_token() -> None:
    jwt = replace(OLD, sha256=None, kid="k1", claims=CLAIMS)
    assert why(token(format="JWT")) is Cause.FORMAT
    assert why(token(), jwt) is Cause.FORMAT
    assert why(token(format="JWT"), jwt, CLAIMS) is None
    assert why(token(format="JWT"), jwt, replace(CLAIMS, audiences=("a", "b"))) is Cause.HOSTS
    assert why(token(format="JWT"), jwt, replace(CLAIMS, subject="other")) is Cause.CLAIMS
    assert why(token(format="JWT", suspended=True), jwt, replace(CLAIMS, subject="other")) is None


def test_the_former_token_stays_for_the_overlap() -> None:
    (default,) = follow(token()).state.former
    assert default == Former(id="old", sha256="1" * 64, expires=later(3600))
    (chosen,) = follow(token(rotation={"overlap": "5m"})).state.former
    assert chosen.expires == later(300)
    assert follow(token(rotation={"overlap": "0s"})).state.former == ()


def test_no_overlap_outlives_the_whole() -> None:
    (former,) = follow(token(ttl="13h", rotation={"overlap": "2h"})).state.former
    assert former.expires == later(3600)


def test_a_shorter_overlap_holds_for_those_before_as_well() -> None:
    before = follow(token(rotation={"overlap": "2h"}))
    former = follow(token(rotation={"overlap": "1m"}), before, seconds=60).state.former
    assert [some.expires for some in former] == [later(120), later(120)]


def test_only_so_many_of_the_past_are_remembered() -> None:
    minted = OLD
    for second in range(3 * MOST_FORMER):
        minted = follow(token(), replace(minted, id=str(second)), seconds=second)
    assert [some.id for some in minted.state.former] == [
        str(second) for second in reversed(range(2 * MOST_FORMER, 3 * MOST_FORMER))
    ]


def test_an_annotation_with_more_of_the_past_than_was_ever_written_counts_as_far_as_that() -> None:
    many = tuple(Former(id=str(number), sha256="3" * 64, expires=later(60)) for number in range(3000))
    assert replace(OLD, state=State(former=many)).former(NOW) == many[:MOST_FORMER]


def test_what_is_remembered_survives_in_the_annotation(golden: Golden) -> None:
    state = follow(token(rotate="2026-03-01T11:59:00Z")).state
    assert State.parse(state.render()) == state
    golden.check("token", "state", {"annotation": state.render()})


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"former": 3}',
        '{"since": "yesterday"}',
        # Nothing could be added to these.
        '{"since": "9999-12-31T23:59:59Z"}',
        '{"since": "0001-01-01T00:00:00+14:00"}',
        '{"former": [{"id": "a", "sha256": "b", "expires": "9999-12-31T23:59:59-14:00"}]}',
    ],
)
def test_an_annotation_that_cannot_be_read_remembers_nothing(text: str | None) -> None:
    assert State.parse(text) == NOTHING


def test_the_operator_wakes_for_whatever_comes_first() -> None:
    def next_moment(token: Token, minted: Minted | None = OLD) -> Any:
        assert token.spec is not None
        return wake(token, token.spec, minted, NOW)

    assert next_moment(token(ttl="14h")) == later(7200)
    assert next_moment(token(ttl="14h"), None) == later(7200)
    assert next_moment(token(ttl="12h")) is None
    assert next_moment(token(rotation={"interval": "13h"})) == later(3600)
    assert next_moment(token(rotation={"interval": "13h"}), follow(token(rotation={"overlap": "5m"}))) == later(300)
    some = token(suspended=True, rotation={"interval": "13h"})
    assert some.spec is not None
    assert next_rotation(some, some.spec, OLD) is None


def test_a_token_whose_key_is_gone_is_no_token() -> None:
    jwt = replace(OLD, sha256=None, kid="k1", claims=CLAIMS)
    assert trusted(jwt, {"k2"}) is None
    assert trusted(jwt, {"k1"}) == jwt
    assert trusted(OLD, ()) == OLD
    assert trusted(None, {"k1"}) is None
    former = Former(id="older", sha256=None, kid="k0", expires=later(60))
    both = replace(jwt, state=State(former=(former,)))
    assert trusted(both, {"k0", "k1"}) == both
    assert trusted(both, {"k1"}) == replace(jwt, state=State())
