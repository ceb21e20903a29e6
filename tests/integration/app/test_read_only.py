"""A read-only host offers, and does, only what changes nothing."""

from pathlib import Path

import pytest

from fairlead_sidecar.config import NamedCommand, Policy
from tests.integration.app.endpoint import ERAS, RunningEndpoint

both_eras = pytest.mark.parametrize("era", ERAS)
POLICY = Policy(
    read_only=True,
    named_commands=(
        NamedCommand(name="look", argv=("echo", "looked"), read_only=True),
        NamedCommand(name="touch", argv=("echo", "touched")),
    ),
)


@both_eras
async def test_a_read_only_host_lists_only_what_changes_nothing(endpoint: RunningEndpoint, era: str) -> None:
    endpoint.reconfigure(policy=POLICY)
    await endpoint.settled()
    async with endpoint.client(era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert "It is read-only" in (client.instructions or "")
        result = await client.call_tool("run_look", {})
    assert {"read_file", "list_directory", "find_files", "search_files", "stat_path", "run_look"} <= set(tools)
    assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools.values())
    assert (result.structured_content or {})["stdout"] == "looked\n"


@both_eras
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("execute_command", {"command": "echo done > {mark}"}),
        ("execute_script", {"script": "echo done > {mark}"}),
        ("write_file", {"path": "{mark}", "content": "done"}),
        ("make_directory", {"path": "{mark}"}),
        ("run_touch", {}),
        # What it would be given does not matter: nothing is told of a tool that is kept back.
        ("delete_path", {"nonsense": 1}),
    ],
)
async def test_a_read_only_host_refuses_everything_else(
    endpoint: RunningEndpoint, tmp_path: Path, *, era: str, tool: str, arguments: dict[str, str]
) -> None:
    endpoint.reconfigure(policy=POLICY)
    await endpoint.settled()
    mark = tmp_path / "mark"
    given = {name: str(value).format(mark=mark) for name, value in arguments.items()}
    async with endpoint.client(era) as client:
        result = await client.call_tool(tool, given)
    assert result.is_error
    assert (result.structured_content or {})["code"] == "policy_denied"
    assert "read-only" in (result.structured_content or {})["message"]
    assert not mark.exists()
    line = endpoint.audit("call")[-1]
    assert (line["tool"], line["decision"], line["outcome"]) == (tool, "deny", "policy_denied")
