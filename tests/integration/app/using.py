"""Calling tools as an agent does."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from fairlead_sidecar.config import Permission
from tests.integration.app.endpoint import RunningEndpoint, running, until
from tests.integration.sshd import SshdFactory

SUDO_OFF = tuple(permission for permission in Permission if permission is not Permission.SUDO)


async def use(
    endpoint: RunningEndpoint, tool: str, *, token: str | None = None, era: str = "auto", **arguments: Any
) -> dict[str, Any]:
    """Call a tool; its structured result, checked against the schema it announced."""
    async with endpoint.client(era, token) as client:
        tools = {listed.name: listed for listed in (await client.list_tools()).tools}
        result = await client.call_tool(tool, arguments)
    assert result.structured_content is not None
    schema = tools[tool].output_schema
    assert schema is not None
    jsonschema.validate(result.structured_content, schema)
    assert result.is_error == ("code" in result.structured_content)
    return dict(result.structured_content)


async def begun(endpoint: RunningEndpoint, command: str, says: str, **arguments: Any) -> dict[str, Any]:
    """Begin a command in the background, and wait until it has said `says`; the result of the call that began it."""
    result = await use(endpoint, "execute_command", command=command, wait_seconds=0, **arguments)
    said = result["stdout"]

    async def has_spoken() -> bool:
        nonlocal said
        said += (await use(endpoint, "command_output", command_id=result["command_id"]))["stdout"]
        return bool(said == says)

    if said != says:
        await until(has_spoken, f"the command to say {says!r}")
    return result


def marker() -> str:
    """A number of seconds for `sleep` that no other process has."""
    return f"4{uuid4().int % 10**9:09}"


@pytest.fixture
async def deployed(sshd_factory: SshdFactory) -> AsyncIterator[RunningEndpoint]:
    """A sidecar connected to a private sshd, as an ordinary account."""
    async with running(sshd_factory(username="deploy").sidecar_config()) as endpoint:
        yield endpoint
