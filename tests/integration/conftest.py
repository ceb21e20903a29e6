"""How the integration tests are spread over processes: one by one, but for those that need a control plane."""

from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_LONGEST = "test_restarts.py"


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Tests with an operator share two control planes, whose start takes a while; the larger group begins first."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        if file.parent.name != "operator":
            return nodeid
        return _LONGEST if file.name == _LONGEST else "operator"


# Groups named by marks would be simpler, but xdist 3.8 does not find them with pytest 9.2.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give the tests out."""
    return _Scheduling(config, log)
