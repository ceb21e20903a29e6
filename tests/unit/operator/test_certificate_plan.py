"""When a host's certificates are due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fairlead_operator.reconcile.certificate_plan import (
    HeldCertificate,
    Plan,
    Present,
    Terms,
    Wanted,
    next_renewal,
    plan,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TERMS = Terms("shop/web-01/pod-1", frozenset({"deploy"}), HOUR)
WANTED = Wanted(TERMS, active="SHA256:old", following=None, request="")
ROTATING = replace(WANTED, following="SHA256:new")


def held(
    serial: int = 7, authority: str = "SHA256:old", *, age: timedelta = timedelta(), terms: Terms = TERMS
) -> HeldCertificate:
    return HeldCertificate(serial, authority, f"SHA256:key-{serial}", terms, expires=NOW - age + terms.validity)


def test_without_a_certificate_one_is_issued() -> None:
    assert plan(Present(), WANTED, NOW) == Plan(renew=True)


def test_a_new_certificate_is_kept() -> None:
    assert plan(Present(held()), WANTED, NOW).idle


@pytest.mark.parametrize("serial", range(1, 200, 7))
def test_every_certificate_is_renewed_shortly_before_half_of_its_time(serial: int) -> None:
    assert plan(Present(held(serial, age=0.39 * HOUR)), WANTED, NOW).idle
    assert plan(Present(held(serial, age=0.5 * HOUR)), WANTED, NOW) == Plan(renew=True)


def test_renewals_of_many_hosts_are_spread_and_the_same_after_a_restart() -> None:
    renewals = [held(serial).renewal for serial in range(1000)]
    assert renewals == [held(serial).renewal for serial in range(1000)]
    assert max(renewals) - min(renewals) > 0.09 * HOUR
    middle = [some for some in renewals if NOW + 0.44 * HOUR < some < NOW + 0.46 * HOUR]
    assert 100 < len(middle) < 300


@pytest.mark.parametrize(
    "other",
    [
        replace(TERMS, key_id="shop/web-01/pod-2"),
        replace(TERMS, principals=frozenset({"deploy", "root"})),
        replace(TERMS, validity=2 * HOUR),
        replace(TERMS, source_addresses=frozenset({"10.0.0.0/8"})),
        replace(TERMS, port_forwarding=True),
    ],
)
def test_other_terms_take_another_certificate_at_once(other: Terms) -> None:
    assert plan(Present(held()), replace(WANTED, terms=other), NOW) == Plan(renew=True)


def test_while_the_authority_is_rotated_there_is_a_second_certificate() -> None:
    assert plan(Present(held()), ROTATING, NOW) == Plan(renew_following=True)
    assert plan(Present(held(), held(8, "SHA256:new")), ROTATING, NOW).idle
    old = held(8, "SHA256:new", age=0.5 * HOUR)
    assert plan(Present(held(), old), ROTATING, NOW) == Plan(renew_following=True)


def test_after_the_rotation_the_second_certificate_takes_the_firsts_place_and_nothing_is_issued() -> None:
    after = replace(WANTED, active="SHA256:new")
    assert plan(Present(held(), held(8, "SHA256:new")), after, NOW) == Plan(promote=True)


def test_a_rotation_that_is_given_up_leaves_nothing_behind() -> None:
    assert plan(Present(held(), held(8, "SHA256:new")), WANTED, NOW) == Plan(drop_following=True)


def test_an_authority_of_another_name_or_key_takes_another_certificate() -> None:
    assert plan(Present(held()), replace(WANTED, active="SHA256:other"), NOW) == Plan(renew=True)


def test_a_request_renews_and_revokes_once() -> None:
    asked = replace(WANTED, request="monday")
    assert plan(Present(held()), asked, NOW) == Plan(renew=True, revoke=True)
    assert plan(Present(held(), request="monday"), asked, NOW).idle
    assert plan(Present(held(), request="monday"), WANTED, NOW).idle, "taking it back asks for nothing"
    both = Present(held(), held(8, "SHA256:new"), request="monday")
    assert plan(both, replace(ROTATING, request="tuesday"), NOW) == Plan(renew=True, renew_following=True, revoke=True)


def test_a_certificate_whose_serial_is_revoked_is_renewed() -> None:
    revoked = replace(ROTATING, revoked=frozenset({7}))
    assert plan(Present(held(7), held(8, "SHA256:new")), revoked, NOW) == Plan(renew=True)
    assert plan(Present(held(9), held(7, "SHA256:new")), revoked, NOW) == Plan(renew_following=True)


def test_a_request_from_before_the_first_certificate_revokes_nothing() -> None:
    assert plan(Present(), replace(WANTED, request="monday"), NOW) == Plan(renew=True)


def test_the_next_renewal_is_the_earlier_one_of_both() -> None:
    first, second = held(1), held(2, age=0.2 * HOUR)
    assert next_renewal(Present(first, second)) == second.renewal
    assert next_renewal(Present()) is None
