"""When a promised figure counts as met."""

import pytest

from benchmarks.rows.section import ahead, at_least, at_most, none_lost
from benchmarks.stage import cause


@pytest.mark.parametrize(
    ("measured", "met"), [([1.0, 0.5], True), ([1.0, 1.01], False), ([0.5, None], False), ([None, None], False)]
)
def test_every_way_in_has_to_keep_to_a_limit_and_one_without_a_figure_misses_it(
    measured: list[float | None], met: bool
) -> None:
    assert at_most("p50", 1.0, measured).met is met


def test_what_has_to_be_reached_is_met_at_the_very_figure() -> None:
    assert at_least("share", 0.9, [0.9, 1.2]).met
    assert not at_least("share", 0.9, [0.89, 1.2]).met


@pytest.mark.parametrize(("lost", "met"), [([0, 0], True), ([0, 1], False), ([0, None], False)])
def test_a_single_lost_call_misses_the_target(lost: list[int | None], met: bool) -> None:
    assert none_lost("lost", lost).met is met


def test_ahead_is_ahead_of_the_best_peer_in_every_way_in() -> None:
    assert ahead("time", [1.0, 2.0], [3.0, 2.5], " s").met
    assert not ahead("time", [1.0, 2.6], [3.0, 2.5], " s").met
    assert not ahead("time", [2.5], [2.5], " s").met
    assert ahead("rate", [4.0], [3.0, 2.5], more=True).met
    assert not ahead("rate", [2.7], [3.0, 2.5], more=True).met


def test_where_no_peer_has_a_figure_having_one_is_ahead() -> None:
    assert ahead("time", [1.0], []).met
    assert not ahead("time", [None], []).met


def test_a_reason_is_the_innermost_one_in_a_line() -> None:
    long = RuntimeError("server … ended with 1:\nTraceback\n  File …\nNameError: JumpHost\n")
    assert cause(ExceptionGroup("a", [ExceptionGroup("b", [long])])) == (
        "RuntimeError: server … ended with 1: … NameError: JumpHost"
    )
    assert cause(TimeoutError()) == "no answer in time"
