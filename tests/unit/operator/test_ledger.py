from datetime import UTC, datetime, timedelta

import pytest

from fairlead_api.auth import KeyAlgorithm
from fairlead_operator.credentials.keys import generate_key_pair
from fairlead_operator.reconcile.ledger import CLOCKS_DIFFER, Entry, Ledger

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = generate_key_pair(KeyAlgorithm.ED25519, "").public
OTHER = generate_key_pair(KeyAlgorithm.ED25519, "").public


def entry(serial: int, *, host: str = "web-01", authority: str = "one", lasts: timedelta = HOUR) -> Entry:
    return Entry(serial, host, f"uid-{host}", int((NOW + lasts).timestamp()), authority)


def ledger(*entries: Entry) -> Ledger:
    made = Ledger()
    for some in entries:
        made = made.signed(some, KEY if some.authority == "one" else OTHER)
    return made


def test_serials_grow_whatever_the_clock_does() -> None:
    made, serials = Ledger(), []
    for seconds in (0, 0, 5, -3600, 0):
        serials.append(made.next_serial(NOW + timedelta(seconds=seconds)))
        made = made.signed(entry(serials[-1]), KEY)
    assert serials == sorted(set(serials))


def test_serials_of_two_records_that_know_nothing_of_each_other_differ() -> None:
    assert len({Ledger().next_serial(NOW) for _ in range(20)}) > 1


def test_a_serial_survives_programs_that_count_in_floating_point() -> None:
    late = datetime(2200, 1, 1, tzinfo=UTC)
    assert 2**50 < Ledger().next_serial(NOW) < Ledger().next_serial(late) < 2**53


def test_what_was_revoked_is_listed_until_a_while_after_its_end() -> None:
    made = ledger(entry(1), entry(2)).revoked({1})
    assert made.to_list([KEY]).serials == {KEY: {1}}
    assert made.pruned(NOW + HOUR + CLOCKS_DIFFER / 2).to_list([KEY]).serials == {KEY: {1}}
    over = made.pruned(NOW + HOUR + CLOCKS_DIFFER)
    assert over.to_list([KEY]).serials == {KEY: frozenset()}
    assert not over.entries
    assert not over.keys


def test_a_serial_is_listed_for_the_key_that_signed_it_and_a_persons_for_all() -> None:
    made = ledger(entry(1), entry(2, authority="two")).revoked({1, 2})
    assert made.to_list([KEY], also_revoked=[9]).serials == {KEY: {1, 9}, OTHER: {2, 9}}


def test_only_what_surely_nobody_holds_has_lapsed() -> None:
    made = ledger(entry(1), entry(2), entry(3), entry(4)).revoked({4})
    assert made.lapsed(lambda some: {1: True, 2: False}.get(some.serial)) == {2}


def test_in_force_is_what_is_neither_over_nor_revoked() -> None:
    made = ledger(entry(1), entry(2), entry(3), entry(4, lasts=-HOUR / 2)).revoked({2})
    assert [some.serial for some in made.in_force(NOW, also_revoked=[3])] == [1]


def test_a_list_counts_its_changes_only() -> None:
    made = ledger(entry(1), entry(2))
    first = made.listing(made.to_list([KEY]), NOW)
    assert (first.version, first.changed) == (1, int(NOW.timestamp()))
    later = first.signed(entry(3), KEY)
    assert later.listing(later.to_list([KEY]), NOW + HOUR) == later
    revoked = later.revoked({3})
    second = revoked.listing(revoked.to_list([KEY]), NOW + HOUR)
    assert (second.version, second.changed) == (2, int((NOW + HOUR).timestamp()))


def test_a_record_is_read_back_as_it_was_written() -> None:
    made = ledger(entry(1), entry(2, authority="two", host="web-02")).revoked({2})
    made = made.listing(made.to_list([KEY]), NOW)
    assert Ledger.parse(made.render()) == made
    recovered = Ledger.recovered({"revokedSerials": [7]}, NOW, 24 * HOUR)
    assert Ledger.parse(recovered.render()) == recovered


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "{}",
        "[]",
        "null",
        (
            '{"list":{"digest":"","version":0,"changed":0},"keys":[["one","no key"]],"former":[],"generated":false,'
            '"certificates":[]}'
        ),
        '{"list":{"digest":"","version":0,"changed":0},"keys":[],"former":["?"],"generated":false,"certificates":[]}',
        (
            '{"list":{"digest":"","version":0,"changed":0},"keys":[["",""]],"former":[],"generated":false,'
            '"certificates":[[0,"","",0,0,1]]}'
        ),
        '{"list":{"digest":"","version":0,"changed":0},"keys":[],"former":[],"generated":false,"certificates":[[1,"","",0,0,1]]}',
        '{"list":{"digest":"","version":0,"changed":0},"keys":[],"former":[],"generated":false,"certificates":[[1]]}',
    ],
)
def test_a_spoilt_record_is_none(spoilt: str) -> None:
    with pytest.raises(ValueError, match="no record"):
        Ledger.parse(spoilt)


def test_a_lost_record_is_recovered_from_the_status() -> None:
    status = {
        "certificates": [{"serial": 5, "host": "web-01", "expirationTime": "2026-03-01T12:30:00Z"}],
        "revokedSerials": [3],
    }
    made = Ledger.recovered(status, NOW, 24 * HOUR)
    assert [some.serial for some in made.in_force(NOW)] == [5]
    # Which key signed it is unknown.
    assert made.to_list([KEY, OTHER]).serials == {KEY: {3}, OTHER: {3}}
    assert made.pruned(NOW + 24 * HOUR).to_list([KEY]).serials == {KEY: {3}}
