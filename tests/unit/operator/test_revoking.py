from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead_operator.reconcile.grants import revokes
from fairlead_operator.reconcile.patterns import unusable_pattern
from fairlead_sidecar.config import Permission, TokenGrant, ToolSelection
from tests.unit.operator.states import host

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
GRANT = TokenGrant(
    id="a",
    uid="1",
    subject="agent",
    secret_sha256="0" * 64,
    permissions=frozenset({Permission.VIEW, Permission.READ}),
    expires_at=NOW,
)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"secret_sha256": "1" * 64},
        {"permissions": frozenset({Permission.VIEW})},
        {"expires_at": NOW - timedelta(seconds=1)},
        {"uid": "2"},
        {"tools": ToolSelection(allow=("hn__*",))},
        {"tools": ToolSelection(deny=("hn__*",))},
        {"source_cidrs": ("10.0.0.0/8",)},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_less_than_before_is_a_revocation(change: dict[str, Any]) -> None:
    assert revokes([GRANT], [GRANT.model_copy(update=change)], BEFORE)


def test_a_token_that_is_gone_or_ends_at_all_is_a_revocation() -> None:
    assert revokes([GRANT], [], BEFORE)
    assert revokes([GRANT.model_copy(update={"expires_at": None})], [GRANT], BEFORE)


@pytest.mark.parametrize(
    "change",
    [
        {"permissions": frozenset(Permission)},
        {"expires_at": NOW + timedelta(seconds=1)},
        {"expires_at": None},
        {"subject": "renamed"},
        {"rate_percent": 50},
    ],
    ids=lambda change: next(iter(change)) + ("" if any(change.values()) else "-none"),
)
def test_as_much_as_before_or_more_is_none(change: dict[str, Any]) -> None:
    another = GRANT.model_copy(update={"id": "b", "uid": "2"})
    assert not revokes([GRANT], [another, GRANT.model_copy(update=change)], BEFORE)
    assert not revokes([], [GRANT], BEFORE)


def test_an_expired_token_can_no_longer_be_revoked() -> None:
    assert not revokes([GRANT], [], NOW)


@pytest.mark.parametrize(
    ("before", "after", "less"),
    [
        (None, None, False),
        (("10.0.0.0/8",), None, False),
        (("10.0.0.0/8",), ("10.0.0.0/8", "192.0.2.0/24"), False),
        (("10.1.0.0/16", "2001:db8::/48"), ("2001:db8::/32", "10.0.0.0/8"), False),
        (("10.0.0.0/8",), ("10.1.0.0/16",), True),
        (("10.0.0.0/8", "192.0.2.0/24"), ("10.0.0.0/8",), True),
        (("0.0.0.0/0",), ("::/0",), True),
        (None, ("0.0.0.0/0", "::/0"), True),
    ],
)
def test_networks_revoke_unless_each_still_lies_in_one(before: Any, after: Any, *, less: bool) -> None:
    one, other = (GRANT.model_copy(update={"source_cidrs": networks}) for networks in (before, after))
    assert revokes([one], [other], BEFORE) is less


LARGE = r"\pL{1000}"


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({"commands": {"allow": ["^ls", LARGE]}}, "commands.allow[1]"),
        ({"commands": {"deny": ["^ls", LARGE]}}, "commands.deny[1]"),
        ({"confirm": [{"pattern": LARGE}]}, "confirm[0].pattern"),
        (
            {"namedCommands": [{"name": "a", "argv": ["ls", "{p}"], "parameters": {"p": {"pattern": LARGE}}}]},
            "namedCommands[0].parameters.p.pattern",
        ),
    ],
)
def test_a_pattern_that_is_too_large_is_named(policy: dict[str, Any], place: str) -> None:
    spec = host(policy=policy).spec
    assert spec is not None
    found = unusable_pattern(spec)
    assert f"spec.policy.{place}, " in found
    assert "pL{1000}" in found
    assert "too large" in found


def test_usable_patterns_and_no_policy_are_no_problem() -> None:
    for changes in ({}, {"policy": {"commands": {"allow": ["^ls"], "deny": [r"\bmkfs(\.|\b)"]}}}):
        spec = host(**changes).spec
        assert spec is not None
        assert unusable_pattern(spec) == ""
