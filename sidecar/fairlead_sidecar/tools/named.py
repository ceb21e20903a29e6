"""One tool for each command that the host's owner named: `run_<name>`."""

import re
import shlex
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import mcp_types as types
from pydantic import Field, StrictBool, StrictInt, StrictStr, create_model

from fairlead_sidecar.config import NamedCommand, Parameter, Permission, Policy
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.tools.command_result import CommandResult
from fairlead_sidecar.tools.run import confirmed, run, sudo_to
from fairlead_sidecar.tools.spec import Arguments, Call, Tool

PREFIX = "run_"
LABEL = "run_named"
"""What metrics call all of them: their names are the owner's and without number."""
_PLAIN_PATTERN = re.compile(r"(?:[A-Za-z0-9_ ,:@%/=-]|\\[.ds]|[.|()*+?]|\[[A-Za-z0-9_.,:@%/=+-]+\]|\{[0-9,]+\})*")
"""Patterns that mean the same to RE2 and to whoever checks JSON Schemas."""


def named_tools(policy: Policy) -> tuple[Tool, ...]:
    """The tools of a policy's named commands, in its order."""
    return tuple(_tool(command) for command in policy.named_commands)


def _tool(command: NamedCommand) -> Tool:
    said = command.description.strip().rstrip(".")
    account = f" as {command.user}" if command.user else ""
    return Tool(
        name=PREFIX + command.name,
        title=command.name.replace("_", " ").capitalize(),
        description=f"{said + '. ' if said else ''}Runs `{shlex.join(command.argv)}`{account}.",
        group=None,
        permission=Permission.EXECUTE,
        annotations=types.ToolAnnotations(
            read_only_hint=command.read_only,
            destructive_hint=not command.read_only,
            idempotent_hint=False,
            open_world_hint=True,
        ),
        arguments=_arguments(command),
        result=CommandResult,
        run=_runner(command.name),
        label=LABEL,
    )


def _runner(name: str) -> Callable[[Call, Any], Coroutine[Any, Any, CommandResult]]:
    async def run_named(call: Call, arguments: Arguments) -> CommandResult:
        named = call.policy.named(name)
        command = named.command
        argv = named.render(arguments.model_dump(by_alias=True))
        line = shlex.join(argv)
        call.facts["command"] = line
        user = None if command.user is None else sudo_to(call, command.user)
        await confirmed(call, line, user=command.user)
        request = CommandRequest(argv=argv, working_directory=command.working_directory, run_as=user)
        timeout = call.limits.command_timeout if command.timeout is None else command.timeout
        return await run(call, request, tool=PREFIX + name, timeout=timeout)

    return run_named


def _arguments(command: NamedCommand) -> type[Arguments]:
    """The parameters as a model of their own; fields have neutral names, so that none can be one of pydantic's."""
    fields: dict[str, Any] = {
        f"p{index}": _field(name, parameter) for index, (name, parameter) in enumerate(command.parameters.items())
    }
    return create_model(f"{command.name}_arguments", __base__=Arguments, **fields)


def _field(name: str, parameter: Parameter) -> tuple[Any, Any]:
    described = Field(alias=name, description=_description(parameter))
    if parameter.default is None:
        return Annotated[_type(parameter), described], ...
    return Annotated[_type(parameter) | None, described], None


def _type(parameter: Parameter) -> Any:
    if parameter.type == "Boolean":
        return StrictBool
    if parameter.type == "Integer":
        least = 0 if parameter.minimum is None else parameter.minimum
        return Annotated[StrictInt, Field(ge=least, le=parameter.maximum)]
    if parameter.enum is not None:
        return Literal[parameter.enum]
    if parameter.pattern is not None and _PLAIN_PATTERN.fullmatch(parameter.pattern):
        # Told, not enforced: RE2 has the last word, in `NamedArgv.render`.
        return Annotated[StrictStr, Field(json_schema_extra={"pattern": f"^(?:{parameter.pattern})$"})]
    return StrictStr


def _description(parameter: Parameter) -> str:
    parts = [parameter.description.strip().rstrip(".")] if parameter.description.strip() else []
    if parameter.pattern is not None and not _PLAIN_PATTERN.fullmatch(parameter.pattern):
        parts.append(f"Must match `{parameter.pattern}`")
    if parameter.default is not None:
        parts.append(f"Default: {parameter.default!r}")
    return ". ".join(parts or ["Value"]) + "."
