"""Whatever reason a condition may give, some test meets it."""

import re
from pathlib import Path

import pytest

from fairlead_api.conditions import AuthorityReason, Documented, HostReason, McpServerReason, TokenReason

TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("reasons", [HostReason, TokenReason, AuthorityReason, McpServerReason])
def test_every_reason_is_met_in_a_test(reasons: type[Documented]) -> None:
    words = {word for path in TESTS.rglob("*.py") for word in re.findall(r"\w+", path.read_text())}
    assert [reason.value for reason in reasons if not words & {reason.value, reason.name}] == []
