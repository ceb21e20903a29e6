"""What any SSH tool of an agent should do, and what those that were measured beside Fairlead do wrong.

Each test goes through the real app over HTTP, with a real MCP client and a real sshd.
"""

from collections.abc import AsyncIterator

import pytest

from tests.integration.app.endpoint import RunningEndpoint, running
from tests.integration.sshd import Sshd, SshdFactory, sshd_factory

__all__ = ["sshd_factory"]


@pytest.fixture
def sshd(sshd_factory: SshdFactory) -> Sshd:
    """A server with an ordinary account."""
    return sshd_factory(username="deploy")


@pytest.fixture
async def endpoint(sshd: Sshd) -> AsyncIterator[RunningEndpoint]:
    """A sidecar connected to it."""
    async with running(sshd.sidecar_config()) as endpoint:
        yield endpoint
