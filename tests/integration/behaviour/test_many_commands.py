"""Many commands at once, whatever the server allows a connection."""

import asyncio

import pytest

from tests.integration.app.endpoint import running
from tests.integration.sshd import SshdFactory

COMMANDS = 100


@pytest.mark.parametrize("options", [{"MaxSessions": "100"}, {}], ids=["many sessions", "the default of 10 sessions"])
async def test_of_a_hundred_commands_at_once_none_is_lost(sshd_factory: SshdFactory, options: dict[str, str]) -> None:
    sshd = sshd_factory(username="deploy", options=options)
    async with running(sshd.sidecar_config()) as endpoint, endpoint.client() as client:
        results = await asyncio.gather(
            *(client.call_tool("execute_command", {"command": f"sleep 1; echo {number}"}) for number in range(COMMANDS))
        )
    answers = [(result.structured_content or {}).get("stdout") for result in results]
    assert answers == [f"{number}\n" for number in range(COMMANDS)]
