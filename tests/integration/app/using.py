"""Calling tools as an agent does."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from fairlead_sidecar.config import Permission
from tests.integration.app.endpoint import RunningEndpoint, running
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


def marker() -> str:
    """A number of seconds for `sleep` that no other process has."""
    return f"4{uuid4().int % 10**9}"


@pytest.fixture
async def deployed(sshd_factory: SshdFactory) -> AsyncIterator[RunningEndpoint]:
    """A sidecar connected to a private sshd, as an ordinary account."""
    async with running(sshd_factory(username="deploy").sidecar_config()) as endpoint:
        yield endpoint
