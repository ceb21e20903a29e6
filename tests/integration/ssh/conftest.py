from collections.abc import AsyncIterator, Iterator

import pytest

from fairlead_sidecar.config import Connection, SidecarConfig
from fairlead_sidecar.ssh import link as link_module
from tests.integration.ssh.gate import Gate, MakeGate
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import PATIENCE_SECONDS, Sshd, SshdFactory, sshd, sshd_factory

__all__ = ["sshd", "sshd_factory"]

CALL_WAIT_SECONDS = link_module.CALL_WAIT_SECONDS


@pytest.fixture(autouse=True)
def patient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls wait for a link that is not up yet: here for as long as a slow machine needs for a login."""
    monkeypatch.setattr(link_module, "CALL_WAIT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def usual_calls(patient_calls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls wait for the link as they do outside of tests."""
    monkeypatch.setattr(link_module, "CALL_WAIT_SECONDS", CALL_WAIT_SECONDS)


@pytest.fixture
def gate(sshd_factory: SshdFactory) -> Iterator[MakeGate]:
    """Make gates; all are closed in the end."""
    gates: list[Gate] = []

    def make(server: Sshd) -> Gate:
        gates.append(Gate(server))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()


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
