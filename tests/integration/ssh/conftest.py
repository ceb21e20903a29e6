from collections.abc import AsyncIterator

import pytest

from fairlead_sidecar.config import Connection, SidecarConfig
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory, sshd, sshd_factory

__all__ = ["sshd", "sshd_factory"]


@pytest.fixture(params=["root", "deploy"])
def account_sshd(request: pytest.FixtureRequest, sshd_factory: SshdFactory) -> Sshd:
    """A server for each kind of account: sshd treats root and others differently."""
    return sshd_factory(username=request.param)


@pytest.fixture
async def start_link() -> AsyncIterator[StartLink]:
    """Start links; all end with the test."""
    running: list[RunningLink] = []

    def start(config: SidecarConfig) -> RunningLink:
        link = RunningLink(config)
        running.append(link)
        return link

    yield start
    for link in running:
        await link.stop()


@pytest.fixture
def quick_keepalive() -> Connection:
    """Notices a hung host within about two seconds."""
    return Connection(connect_timeout=5, keepalive_interval=0.5, keepalive_count_max=2)
