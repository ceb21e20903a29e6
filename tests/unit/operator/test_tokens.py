import base64
from datetime import timedelta
from typing import Any

import pytest

from fairlead_operator.reconcile.objects import Token, read_host, read_token
from fairlead_operator.reconcile.token import (
    TokenObservation,
    announcements,
    grants,
    last_used,
    matches,
    token_findings,
    token_secret,
    token_status,
)
from fairlead_operator.reconcile.token_rotation import Former, Minted, State
from fairlead_sidecar.config import TokenGrant, ToolSelection
from tests.unit.operator.golden_files import Golden
from tests.unit.operator.states import NOW, body, host, later

MINTED = Minted("abcdefghij23", "0" * 64)


def token(**spec: Any) -> Token:
    return read_token(
        {
            "metadata": {
                "name": "agent",
                "namespace": "shop",
                "uid": "5b1f",
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": "2026-03-01T00:00:00Z",
            },
            "spec": {"subject": "agent", "hosts": {"selector": {}}, "permissions": ["View"], **spec},
        }
    )


def told(token: Token, minted: Minted = MINTED) -> TokenGrant:
    """What sidecars are told of the token that its Secret holds."""
    assert token.spec is not None
    return grants(token, token.spec, minted, NOW)[0]


def reason(token: Token, **seen: Any) -> str:
    observed = TokenObservation(**{"now": NOW, "minted": MINTED, "hosts": ("web-01",), **seen})
    status = token_status(token, observed, token_findings(token, observed))
    return str(status["conditions"][0]["reason"])


def test_reasons_say_why_a_token_does_not_work() -> None:
    assert reason(token()) == "Ready"
    assert reason(token(suspended=True)) == "Suspended"
    assert reason(token(ttl="1h")) == "Expired"
    assert reason(token(), hosts=()) == "NoHosts"
    assert reason(token(), waiting=("web-01",)) == "Distributing"
    assert reason(token(), full=("web-01",)) == "TooManyTokens"
    assert reason(token(), too_many_hosts="too many") == "TooManyHosts"
    assert reason(token(), keys_error="no keys") == "SigningKeysUnavailable"
    assert reason(token(), name_conflict="taken") == "NameConflict"
    assert reason(token(colour="red")) == "InvalidSpec"


def test_ttl_counts_from_creation_and_the_default_is_a_month() -> None:
    assert told(token(ttl="1h")).expires_at == NOW.replace(hour=1)
    assert told(token()).expires_at == NOW.replace(hour=0) + timedelta(hours=720)
    assert told(token(expirationTime="2026-03-01T12:00:30Z")).expires_at == later(30)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z"),
        ("2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00Z"),
    ],
)
def test_any_time_of_the_calendar_can_be_an_end_and_is_shown_in_utc(written: str, shown: str) -> None:
    some = token(expirationTime=written)
    grant = told(some)
    assert TokenGrant.model_validate_json(grant.model_dump_json()) == grant
    observed = TokenObservation(now=NOW, minted=MINTED, hosts=("web-01",))
    assert token_status(some, observed, token_findings(some, observed))["expirationTime"] == shown


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, ToolSelection()),
        ({"allow": ["hn__*"]}, ToolSelection(allow=("hn__*",))),
        ({"deny": ["*delete*", "x"]}, ToolSelection(deny=("*delete*", "x"))),
    ],
)
def test_sidecars_are_told_which_tools_a_token_sees(written: Any, expected: ToolSelection) -> None:
    assert told(token(**{} if written is None else {"tools": written})).tools == expected


def test_sidecars_are_told_from_where_and_how_often_a_token_may_be_used() -> None:
    bound = told(token(sourceCIDRs=["10.0.0.0/8", "2001:DB8::/32"], rateLimit={"multiplierPercent": 250}))
    assert bound.source_cidrs == ("10.0.0.0/8", "2001:db8::/32")
    assert bound.rate_percent == 250
    assert (told(token()).source_cidrs, told(token()).rate_percent) == (None, 100)


def test_a_suspended_token_is_told_to_nobody_nor_are_those_before_it() -> None:
    suspended = token(suspended=True)
    assert suspended.spec is not None
    assert grants(suspended, suspended.spec, rotated(later(60)), NOW) == ()


def rotated(*ends: Any) -> Minted:
    """A token in whose place others were, which work until then."""
    former = tuple(Former(id=f"former{index}", sha256=f"{index}" * 64, expires=end) for index, end in enumerate(ends))
    return Minted("abcdefghij23", "f" * 64, state=State(since=NOW, request="2", cause="REQUEST", former=former))


def test_a_former_token_works_beside_the_present_one_to_its_own_end_and_never_beyond_the_end_of_all() -> None:
    some = token(expirationTime="2026-03-01T12:00:30Z", sourceCIDRs=["10.0.0.0/8"])
    assert some.spec is not None
    present, *former = grants(some, some.spec, rotated(later(10), later(60), later(-1)), NOW)
    assert [(grant.id, grant.expires_at) for grant in former] == [("former0", later(10)), ("former1", later(30))]
    assert present.expires_at == later(30)
    assert {(grant.uid, grant.permissions, grant.source_cidrs) for grant in former} == {
        (present.uid, present.permissions, present.source_cidrs)
    }


def test_a_token_that_its_secret_does_not_show_yet_works_already() -> None:
    some = token()
    assert some.spec is not None
    coming = Minted("coming", "a" * 64)
    told = grants(some, some.spec, MINTED, NOW, coming)
    assert [grant.id for grant in told] == [MINTED.id, "coming"]
    # As it will be told once it is the present one: sidecars that know it have nothing to load then.
    assert grants(some, some.spec, coming, NOW) == (told[1],)


def test_the_hour_of_the_last_use_never_goes_back_nor_beyond_now() -> None:
    assert last_used(None, None, NOW) is None
    assert last_used(None, later(-3600), later(60)) == "2026-03-01T11:00:00Z"
    assert last_used("2026-03-01T11:00:00Z", None, NOW) == "2026-03-01T11:00:00Z"
    assert last_used("2026-03-01T11:00:00Z", later(-7200), NOW) == "2026-03-01T11:00:00Z"
    assert last_used("2026-03-01T11:00:00Z", later(7 * 3600), later(60)) == "2026-03-01T12:00:00Z"
    assert last_used("2026-03-01T12:00:00Z", later(59), later(60)) == "2026-03-01T12:00:00Z"


def test_another_token_is_told_as_an_event_with_its_cause_and_the_end_of_the_former() -> None:
    some = token()
    minted = rotated(later(3600))
    seen = TokenObservation(now=NOW, minted=minted, hosts=("web-01",))
    after = token_status(some, seen, token_findings(some, seen))
    assert after["lastRotationTime"] == "2026-03-01T12:00:00Z"
    before = {**after, "tokenID": "older"}
    (event,) = announcements(before, after, minted)
    assert (event.type, event.reason) == ("Normal", "Rotated")
    assert "the annotation fairlead.dev/rotate asked for it" in event.message
    assert "works until 2026-03-01T13:00:00Z" in event.message
    assert "no longer works" in announcements(before, after, rotated())[0].message
    assert announcements(after, after, minted) == []
    assert [event.reason for event in announcements({}, after, minted)] == ["Ready"]


def test_hosts_are_the_union_of_names_and_selector_in_the_same_namespace() -> None:
    both = token(hosts={"names": ["db-01"], "selector": {"matchLabels": {"env": "prod"}}})
    labelled = host()
    labelled.metadata.labels["env"] = "prod"
    assert matches(both, labelled)
    assert matches(both, host(name="db-01"))
    assert not matches(both, host())
    elsewhere = body()
    elsewhere["metadata"]["namespace"] = "other"
    assert not matches(token(), read_host(elsewhere))


def test_the_secret_is_ready_for_a_client_configuration(golden: Golden) -> None:
    some = token()
    assert some.spec is not None
    made = token_secret(some, some.spec, "flt_abcdefghij23_secret", rotated(later(3600)).state)
    assert base64.b64decode(made["data"]["authorization"]) == b"Bearer flt_abcdefghij23_secret"
    golden.check("token", "secret", made)
