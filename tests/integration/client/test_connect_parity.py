"""A client on stdio gets through `fairlead connect` what a client of the URL gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp.client import Client

from fairlead_sidecar.config import SidecarConfig
from tests.integration.app.endpoint import RunningEndpoint
from tests.integration.client.connecting import connected, environment, serving
from tests.integration.client.person import Era

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
both_eras = pytest.mark.parametrize("era", ["legacy", "auto"])
VARYING = {"test_reconnection", "test_input_required_result_tampered_state"}
"""Tools that need a client of their own kind."""
ARGUMENTS = {"test_sampling": {"prompt": "Say hi"}, "test_elicitation": {"message": "Who are you?"}}


@pytest.fixture
async def endpoint(unreachable: SidecarConfig) -> AsyncIterator[RunningEndpoint]:
    async with serving(unreachable) as endpoint:
        yield endpoint


class Person:
    """Answers what servers ask, and remembers all that they said."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @property
    def callbacks(self) -> dict[str, Any]:
        return {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "list_roots_callback": self.roots,
            "logging_callback": self.log,
        }

    async def elicit(self, _context: Any, params: Any) -> types.ElicitResult:
        self.seen.append(("elicit", params.message))
        return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"})

    async def sample(self, _context: Any, params: Any) -> types.CreateMessageResult:
        self.seen.append(("sample", params.messages[0].content.text))
        return types.CreateMessageResult(
            role="assistant", model="m", content=types.TextContent(type="text", text="hi from the model")
        )

    async def roots(self, _context: Any) -> types.ListRootsResult:
        self.seen.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada")])

    async def log(self, params: Any) -> None:
        self.seen.append(("log", params.level, params.data))

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.seen.append(("progress", progress, total, message))


async def everything(client: Client, person: Person) -> dict[str, Any]:
    """What the endpoint has to say, in every way it has to say it."""
    found: dict[str, Any] = {
        "server": client.server_info.model_dump(mode="json") if client.server_info else None,
        "capabilities": client.server_capabilities.model_dump(mode="json") if client.server_capabilities else None,
        "version": client.protocol_version,
    }
    tools = (await client.list_tools()).tools
    found["tools"] = [tool.model_dump(mode="json") for tool in tools]
    for tool in tools:
        if tool.name not in VARYING:
            try:
                result: Any = await client.call_tool(
                    tool.name, ARGUMENTS.get(tool.name, {}), progress_callback=person.progress
                )
                found[tool.name] = result.model_dump(mode="json")
            except Exception as error:  # noqa: BLE001 - of whatever kind, it has to be the same one
                found[tool.name] = (type(error).__name__, str(error))
    for prompt in (await client.list_prompts()).prompts:
        arguments = {argument.name: "test://x" for argument in prompt.arguments or ()}
        try:
            found[prompt.name] = (await client.get_prompt(prompt.name, arguments)).model_dump(mode="json")
        except Exception as error:  # noqa: BLE001 - as above
            found[prompt.name] = (type(error).__name__, str(error))
    for resource in (await client.list_resources()).resources:
        found[resource.uri] = (await client.read_resource(resource.uri)).model_dump(mode="json")
    found["templates"] = (await client.list_resource_templates()).model_dump(mode="json")
    reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
    found["completion"] = (await client.complete(reference, {"name": "arg1", "value": "par"})).model_dump(mode="json")
    return found


@both_eras
async def test_every_tool_prompt_and_resource_is_the_same_as_at_the_url(
    endpoint: RunningEndpoint, tmp_path: Path, era: Era
) -> None:
    direct, through = Person(), Person()
    async with endpoint.client(era, **direct.callbacks) as client:
        at_the_url = await everything(client, direct)
    env = environment(tmp_path, FAIRLEAD_TOKEN=endpoint.token)
    async with connected(endpoint.url, env=env, era=era, **through.callbacks) as client:
        on_stdio = await everything(client, through)
    assert on_stdio == at_the_url
    assert on_stdio["version"] == ("2025-11-25" if era == "legacy" else "2026-07-28")
    assert through.seen == direct.seen
    kinds = {entry[0] for entry in through.seen}
    assert ({"elicit", "sample", "progress", "log"} if era == "legacy" else {"elicit", "sample", "progress"}) <= kinds


@both_eras
async def test_calls_side_by_side_get_their_own_answers(endpoint: RunningEndpoint, tmp_path: Path, era: Era) -> None:
    env = environment(tmp_path, FAIRLEAD_TOKEN=endpoint.token)
    async with connected(endpoint.url, env=env, era=era) as client:
        results = await asyncio.gather(
            *(client.read_resource(f"test://template/{number}/data") for number in range(40))
        )
    texts = [result.contents[0].model_dump()["text"] for result in results]
    assert all(f'"id": "{number}"' in text for number, text in enumerate(texts))
