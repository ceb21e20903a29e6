import base64
from datetime import timedelta
from typing import Any

import pytest

from fairlead_operator.reconcile.objects import Token, read_host, read_token
from fairlead_operator.reconcile.token import (
    Minted,
    TokenObservation,
    grant,
    matches,
    token_findings,
    token_secret,
    token_status,
)
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
    assert reason(token(), name_conflict="taken") == "NameConflict"
    assert reason(token(colour="red")) == "InvalidSpec"


def test_ttl_counts_from_creation_and_the_default_is_a_month() -> None:
    def expires(token: Token) -> Any:
        assert token.spec is not None
        told = grant(token, token.spec, MINTED)
        assert told is not None
        return told.expires_at

    assert expires(token(ttl="1h")) == NOW.replace(hour=1)
    assert expires(token()) == NOW.replace(hour=0) + timedelta(hours=720)
    assert expires(token(expirationTime="2026-03-01T12:00:30Z")) == later(30)


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
    assert some.spec is not None
    told = grant(some, some.spec, MINTED)
    assert told is not None
    assert TokenGrant.model_validate_json(told.model_dump_json()) == told
    observed = TokenObservation(now=NOW, minted=MINTED, hosts=("web-01",))
    assert token_status(some, observed, token_findings(some, observed))["expirationTime"] == shown


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (None, ToolSelection()),
        ({"allow": ["hn__*"]}, ToolSelection(allow=("hn__*",))),
        ({"deny": ["*delete*", "x"]}, ToolSelection(deny=("*delete*", "x"))),
    ],
)
def test_sidecars_are_told_which_tools_a_token_sees(written: Any, told: ToolSelection) -> None:
    some = token(**{} if written is None else {"tools": written})
    assert some.spec is not None
    made = grant(some, some.spec, MINTED)
    assert made is not None
    assert made.tools == told


def test_a_suspended_token_is_told_to_nobody() -> None:
    suspended = token(suspended=True)
    assert suspended.spec is not None
    assert grant(suspended, suspended.spec, MINTED) is None


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
    made = token_secret(some, some.spec, "flt_abcdefghij23_secret")
    assert base64.b64decode(made["data"]["authorization"]) == b"Bearer flt_abcdefghij23_secret"
    golden.check("token", "secret", made)
