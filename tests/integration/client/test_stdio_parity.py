"""`fairlead serve --stdio` offers exactly what HTTP does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.integration.client.person import FAIRLEAD, Era, Person
from tests.integration.client.test_serve_stdio import sleeping
from tests.integration.sshd import Sshd, free_port, until

both_eras = pytest.mark.parametrize("era", ["legacy", "auto"])


async def everything(client: Client) -> dict[str, Any]:
    """All that a client is told of a server."""

    def plain(items: Sequence[Any]) -> list[Any]:
        return [item.model_dump(mode="json") for item in items]

    assert client.server_info is not None
    assert client.server_capabilities is not None
    return {
        "info": client.server_info.model_dump(mode="json"),
        "capabilities": client.server_capabilities.model_dump(mode="json"),
        "instructions": client.instructions,
        "tools": plain((await client.list_tools()).tools),
        "prompts": plain((await client.list_prompts()).prompts),
        "resources": plain((await client.list_resources()).resources),
        "templates": plain((await client.list_resource_templates()).resource_templates),
        "completion": (await completed(client)).completion.model_dump(mode="json"),
        "hosts": [content.model_dump(mode="json") for content in (await hosts(client)).contents],
    }


async def completed(client: Client) -> types.CompleteResult:
    """What completion makes of a beginning."""
    (template,) = (await client.list_resource_templates()).resource_templates
    reference = types.ResourceTemplateReference(type="ref/resource", uri=template.uri_template)
    return await client.complete(reference, {"name": "path", "value": "etc/host"})


async def hosts(client: Client) -> types.ReadResourceResult:
    """A file that every host has."""
    (template,) = (await client.list_resource_templates()).resource_templates
    return await client.read_resource(template.uri_template.replace("{+path}", "etc/hosts"))


HOST_FILE = """
policy:
  confirm: [{pattern: ^echo consent, mode: Elicit}]
  namedCommands:
  - {name: uptime, description: Since when it runs., argv: [uptime], readOnly: true}
  - {name: say, argv: [echo, "{word}"], parameters: {word: {pattern: "[a-z]+"}}}
"""


@pytest.fixture
def host_file(tmp_path: Path) -> str:
    """The option that says what the host's owner wrote."""
    file = tmp_path / "host.yaml"
    file.write_text(HOST_FILE)
    return f"--config={file}"


@both_eras
@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["all", "read-only"])
async def test_stdio_offers_exactly_what_http_does(
    person: Person, sshd: Sshd, host_file: str, era: Era, options: tuple[str, ...]
) -> None:
    options = (*options, host_file)
    destination = person.is_at_home_on(sshd)
    async with person.connects_on_stdio(*options, destination, era=era) as client:
        on_stdio = await everything(client)
    with person.serves(*options, destination) as served:
        async with served.connected(era=era) as client:
            on_http = await everything(client)
    assert on_stdio == on_http
    assert on_stdio["completion"]["values"]
    names = {tool["name"] for tool in on_stdio["tools"]}
    assert {"read_file", "list_directory", "run_uptime"} <= names
    assert ("run_say" in names) == ("execute_command" in names) == (options == (host_file,))


@both_eras
async def test_a_cancelled_call_on_stdio_is_dead_and_the_next_one_works(person: Person, sshd: Sshd, era: Era) -> None:
    seconds = str(70000 + free_port())
    async with person.connects_on_stdio(person.is_at_home_on(sshd), era=era) as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": f"sleep {seconds}"}))
        await asyncio.to_thread(until, lambda: sleeping(seconds), "the command to run")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.to_thread(until, lambda: not sleeping(seconds), "the command to be dead")
        result = await client.call_tool("execute_command", {"command": "echo next"})
    assert (result.structured_content or {})["stdout"] == "next\n"


@both_eras
@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_a_person_is_asked_on_stdio_too(
    person: Person, sshd: Sshd, host_file: str, era: Era, action: str
) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult.model_validate({"action": action})

    arguments = ["serve", "--stdio", host_file, person.is_at_home_on(sshd)]
    server = StdioServerParameters(command=FAIRLEAD[0], args=[*FAIRLEAD[1:], *arguments], env=person.environment)
    async with Client(stdio_client(server), mode=era, elicitation_callback=answer) as client:
        result = await client.call_tool("execute_command", {"command": "echo consent; echo given"})
    content = result.structured_content or {}
    assert content.get("stdout") == ("consent\ngiven\n" if action == "accept" else None)
    assert content.get("code") == (None if action == "accept" else "confirmation_refused")
    (question,) = asked
    assert "echo consent; echo given" in question
