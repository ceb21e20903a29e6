"""How the integration tests are spread over processes: each file stays in one."""

from pathlib import Path

import pytest

_OPERATOR = Path(__file__).parent / "operator"
_LONGEST = "test_restarts.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group of each test; those with an operator share two control planes, whose start takes a while."""
    for item in items:
        group = item.path.name
        if item.path.is_relative_to(_OPERATOR) and group != _LONGEST:
            group = "operator"
        item.add_marker(pytest.mark.xdist_group(group))
