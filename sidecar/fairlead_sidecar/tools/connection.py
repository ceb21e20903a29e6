"""The state of the connection to the host."""

from datetime import datetime
from typing import Annotated

import mcp_types as types
from pydantic import Field

from fairlead_sidecar.config import Permission
from fairlead_sidecar.statusz import LinkState
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool


class StatusArguments(Arguments):
    """`connection_status` takes none."""


class StatusResult(Result):
    """Result of `connection_status`."""

    state: LinkState
    reason: Annotated[str, Field(description="Why, in one word.")]
    message: Annotated[str, Field(description="What is wrong, and what to do.")]
    since: datetime
    server_version: str | None
    host_key_fingerprint: str | None


async def connection_status(call: Call, _arguments: StatusArguments) -> StatusResult:
    """Tell where the SSH link stands, without touching the host."""
    status = call.link.status()
    return StatusResult(host=call.host, **status.model_dump())


TOOLS = (
    Tool(
        name="connection_status",
        title="Connection status",
        description=(
            "Tell whether the SSH connection to the host is up and, if not, why. Answers at once, without the host: "
            "call it when another tool reports that the host is unreachable."
        ),
        group=None,
        permission=Permission.VIEW,
        annotations=types.ToolAnnotations(
            title="Connection status",
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
        arguments=StatusArguments,
        result=StatusResult,
        run=connection_status,
    ),
)
