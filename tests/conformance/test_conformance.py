"""The official conformance suite: Fairlead's gate and transports with the suite's own tools, and the product itself."""

from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from fairlead_sidecar.config import Endpoint
from tests.conformance import fixture
from tests.conformance.suite import SETS, TIMEOUT, Set, run
from tests.integration.app.endpoint import PATH, RunningEndpoint, running
from tests.integration.app.hosted import HANDSHAKE, MOUNTS, SshdFactory, ready, stdio
from tests.integration.sshd import Sshd, sshd, sshd_factory

__all__ = ["sshd", "sshd_factory"]

SERVED = Path(__file__).parent / "served.py"
"""The suite's own server on stdio."""

pytestmark = [
    pytest.mark.timeout(TIMEOUT + 60),
    # The suite examines logging and sampling, which new servers shall no longer use.
    pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning"),
]


class WithBearer:
    """Adds the token that the suite has no option for; everything behind it is as for any other client."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.header = (b"authorization", f"Bearer {token}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], self.header]}
        await self.app(scope, receive, send)


def prepare(endpoint: RunningEndpoint) -> None:
    """Let the suite in, under the names that it uses and no others."""
    hosts = tuple(f"{name}:{endpoint.public.getsockname()[1]}" for name in ("127.0.0.1", "localhost"))
    endpoint.reconfigure(endpoint=Endpoint(path=PATH, allowed_hosts=hosts))
    endpoint.app.add_middleware(WithBearer, token=endpoint.token)


@pytest.mark.parametrize("scenarios", SETS, ids=lambda chosen: chosen.name)
async def test_gate_and_transports_pass_every_required_scenario(sshd: Sshd, scenarios: Set) -> None:
    async with running(sshd.sidecar_config(), make_server=fixture.make_server, prepare=prepare) as endpoint:
        outcome = await run(scenarios, endpoint.url)
    print(outcome.counts())
    assert outcome.passed >= scenarios.required(), outcome.report()
    assert outcome.exit_code == 0, outcome.report()


@pytest.mark.parametrize("scenarios", SETS, ids=lambda chosen: chosen.name)
async def test_a_server_on_the_host_passes_every_required_scenario(sshd_factory: SshdFactory, scenarios: Set) -> None:
    """Through its own endpoint, as without Fairlead in between."""
    server = stdio("suite", *([] if scenarios.name == "modern" else [HANDSHAKE]), script=SERVED)
    config = sshd_factory(mounts=MOUNTS).sidecar_config(mcp_servers=(server,))
    async with running(config, prepare=prepare) as endpoint:
        await ready(endpoint, "suite")
        outcome = await run(scenarios, f"{endpoint.origin}{PATH}/servers/suite/mcp")
    print(outcome.counts())
    assert outcome.passed >= scenarios.required(), outcome.report()


@pytest.mark.parametrize("scenarios", SETS, ids=lambda chosen: chosen.name)
async def test_the_product_fails_only_where_the_suites_own_tools_are_needed(sshd: Sshd, scenarios: Set) -> None:
    """An expected failure that passes is an error too, so that the lists can only get shorter."""
    async with running(sshd.sidecar_config(), prepare=prepare) as endpoint:
        outcome = await run(scenarios, endpoint.url, "--expected-failures", str(scenarios.expected_failures))
    print(outcome.counts())
    assert outcome.passed | outcome.failed >= scenarios.required(), outcome.report()
    assert outcome.exit_code == 0, outcome.report()
