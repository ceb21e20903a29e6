"""Which patterns the operator lets through, and how long it looks at them."""

import time

from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.objects import read_host
from fairlead_operator.reconcile.patterns import MOST_SECONDS, unusable_pattern
from tests.unit.operator.states import body

SLOW = "|".join([r"\pL{99}"] * 60)
"""Takes a fifth of a second, and is none too large for RE2."""


def spec(*deny: str) -> RemoteHostSpec:
    found = read_host(body(policy={"commands": {"deny": list(deny)}})).spec
    assert found is not None
    return found


def test_patterns_that_people_write_are_usable() -> None:
    assert unusable_pattern(spec(*[rf"\bmkfs{number}(\.|\b)" for number in range(64)])) == ""


def test_a_pattern_that_is_too_large_is_named() -> None:
    assert "spec.policy.commands.deny[1], the pattern" in unusable_pattern(spec("a", r"(?:\pL|\pN|\pS){1000}"))


def test_many_slow_patterns_are_refused_long_before_all_were_looked_at() -> None:
    began = time.thread_time()
    said = unusable_pattern(spec(*[f"{SLOW}|{number}" for number in range(64)]))
    assert "take too long to compile" in said
    assert "make them fewer or simpler" in said
    assert time.thread_time() - began < 3 * MOST_SECONDS
