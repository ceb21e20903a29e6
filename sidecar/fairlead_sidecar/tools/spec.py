"""What a tool is: its place in the access table, its words for the model, its types, and the function behind it."""

from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from pydantic import BaseModel, ConfigDict

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Limits, Permission, Policy, ToolGroup
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.policy import HostPolicy
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.tools.running import Commands


class Arguments(BaseModel):
    """Base of all tool arguments: an argument that the tool does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Result(BaseModel):
    """Base of all structured results."""

    host: str
    """Name of the host that the tool worked on."""


@dataclass
class Call:
    """What a tool works with during one call."""

    host: str
    account: str
    """The account that commands run as."""
    link: Link
    commands: Commands
    limits: Limits
    policy: HostPolicy
    caller: Caller
    confirm: Callable[[str], Awaitable[None]]
    """Asks the person behind the client whether to go on; call it before anything is done.

    Raises:
        ConfirmationRefused: They do not agree, or the client can't ask.
    """
    progress: Callable[[float, str], Awaitable[None]] | None
    """Sends a progress notification (a value that grows, a message); None when the client asked for none."""
    room: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while the arguments are in memory, by whatever goes on with them after the call."""
    redactor: Redactor = field(default_factory=Redactor)
    """Masks `policy.redact`. Results, errors and audit lines are masked anyway; what goes another way needs it."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the tool adds to its audit line. Never file content, never a secret."""


class Failed(Exception):
    """A failure with a part of the result, so that nothing learned is lost."""

    def __init__(self, error: FairleadError, result: Result) -> None:
        super().__init__(error.message)
        self.error = error
        self.result = result


@dataclass(frozen=True, eq=False)
class Tool:
    """One row of the published table tool, group, permission, scope; and what runs."""

    name: str
    title: str
    description: str
    """For the model that chooses among tools."""
    group: ToolGroup | None
    """None: always there."""
    permission: Permission
    annotations: types.ToolAnnotations
    arguments: type[Arguments]
    result: type[Result]
    run: Callable[[Call, Any], Coroutine[Any, Any, Result]]
    """Called with the validated `arguments`.

    Raises:
        FairleadError: It failed; the message is for the agent.
        Failed: It failed with a part of the result.
    """
    hidden: Callable[[Policy, Caller], Collection[str]] | None = None
    """Arguments that can't be of use under this policy or to this caller, and are left out of the schema; the tool
    itself refuses them still."""
    label: str = ""
    """What metrics call it, where that is not its name: labels must have few values."""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name)
