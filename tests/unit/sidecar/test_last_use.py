from datetime import UTC, datetime

from fairlead_sidecar.access.last_use import LastUse

TEN = datetime(2026, 1, 1, 10, tzinfo=UTC)


def test_the_hour_of_the_last_use_is_kept_and_only_another_one_is_news() -> None:
    now = TEN.timestamp() + 1800
    uses = LastUse(lambda: now)
    assert not uses.keep({"a", "b"})
    uses.note("a")
    assert uses.keep({"a", "b"})
    assert uses.told == {"a": TEN}
    now += 1799
    uses.note("a")
    assert not uses.keep({"a", "b"})
    now += 1
    assert not uses.keep({"a", "b"})
    uses.note("a")
    assert uses.keep({"a", "b"})
    assert uses.told == {"a": TEN.replace(hour=11)}


def test_an_owner_without_tokens_is_forgotten() -> None:
    uses = LastUse(TEN.timestamp)
    uses.note("a")
    uses.keep({"a"})
    assert uses.keep({"b"})
    assert uses.told == {}
