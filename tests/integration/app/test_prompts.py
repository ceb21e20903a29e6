"""Prompts, with real clients of both eras."""

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import ToolGroup
from tests.integration.app.endpoint import ERAS, RunningEndpoint, until

both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_a_prompt_comes_with_its_arguments_and_the_hosts_name(hostless: RunningEndpoint, era: str) -> None:
    async with hostless.client(era) as client:
        prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        assert set(prompts) == {"diagnose", "explain_log", "deploy_check"}
        assert all(prompt.title and prompt.description for prompt in prompts.values())
        result = await client.get_prompt("diagnose", {"symptom": "nginx answers 502"})
    (message,) = result.messages
    assert isinstance(message.content, types.TextContent)
    assert "web-01 why this is so: nginx answers 502" in message.content.text


@both_eras
async def test_a_prompt_that_makes_no_sense_is_an_error(hostless: RunningEndpoint, era: str) -> None:
    async with hostless.client(era) as client:
        for name, arguments, says in [
            ("diagnose", {}, "symptom is missing"),
            ("diagnose", {"symptom": " "}, "symptom is missing"),
            ("diagnose", {"symptom": "x" * 5000}, "at most 4000"),
            ("no_such", {}, "Unknown prompt"),
        ]:
            with pytest.raises(MCPError, match=says):
                await client.get_prompt(name, arguments)
        hostless.reconfigure(groups=frozenset({ToolGroup.FILES}))
        await hostless.settled()
        with pytest.raises(MCPError, match="Unknown prompt"):
            await client.get_prompt("diagnose", {"symptom": "x"})

        async def only_logs() -> bool:
            prompts = (await client.list_prompts(cache_mode="refresh")).prompts
            return [prompt.name for prompt in prompts] == ["explain_log"]

        await until(only_logs, "the prompts that need commands to go")
