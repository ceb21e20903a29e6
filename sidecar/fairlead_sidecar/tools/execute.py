"""Free commands and scripts on the host."""

import hashlib
import re
import shlex
from typing import Annotated

import mcp_types as types
from pydantic import Field

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission, Policy, ToolGroup
from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.request import CommandRequest, Script
from fairlead_sidecar.tools.command_result import CommandResult, OutputEncoding
from fairlead_sidecar.tools.run import confirmed, run, run_as, timeout_of
from fairlead_sidecar.tools.spec import Arguments, Call, Tool

COMMAND_CHARACTERS = 128 * 1024
"""Longest command line; Linux takes no longer single argument (MAX_ARG_STRLEN)."""
TEXT_CHARACTERS = 1024 * 1024
"""Longest standard input and longest script."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RunArguments(Arguments):
    """What commands and scripts have in common."""

    workdir: Annotated[str | None, Field(description="Directory to start in.", max_length=4096)] = None
    env: Annotated[
        dict[str, Annotated[str, Field(max_length=COMMAND_CHARACTERS)]] | None,
        Field(description="Variables to set.", max_length=256),
    ] = None
    stdin: Annotated[str | None, Field(description="Standard input; else empty.", max_length=TEXT_CHARACTERS)] = None
    timeout_seconds: Annotated[
        float | None,
        Field(description="Killed after so long. Default and most: the host's limit.", gt=0, allow_inf_nan=False),
    ] = None
    wait_seconds: Annotated[
        float | None,
        Field(
            description="If it runs longer, it goes on and you get a command_id.",
            ge=0,
            allow_inf_nan=False,
        ),
    ] = None
    sudo: Annotated[bool, Field(description="Run it with sudo, as root unless as_user is given.")] = False
    as_user: Annotated[str | None, Field(description="Run it with sudo as this account.", max_length=256)] = None
    output_encoding: Annotated[OutputEncoding, Field(description="base64: exact bytes.")] = "auto"

    @property
    def user(self) -> str | None:
        """The account that is asked for; None: the login's own."""
        return self.as_user if self.as_user is not None else "root" if self.sudo else None


class ExecuteArguments(RunArguments):
    """Arguments of `execute_command`."""

    command: Annotated[str, Field(description="Command line for the account's shell.", max_length=COMMAND_CHARACTERS)]


class ScriptArguments(RunArguments):
    """Arguments of `execute_script`."""

    script: Annotated[str, Field(description="The program's text.", max_length=TEXT_CHARACTERS)]
    interpreter: Annotated[
        str, Field(description="What runs it, e.g. `python3` or `bash -eu`.", min_length=1, max_length=1024)
    ] = "sh"
    args: Annotated[
        list[Annotated[str, Field(max_length=COMMAND_CHARACTERS)]],
        Field(description="Its arguments.", max_length=256),
    ] = []  # noqa: RUF012 - pydantic copies defaults


async def execute_command(call: Call, arguments: ExecuteArguments) -> CommandResult:
    """Run a command line."""
    command = arguments.command
    call.facts["command"] = command
    if not command.strip():
        raise InvalidRequest("The command is empty.", hint="Give a command line.")
    _check_text("command", command)
    environment = _environment(call, arguments)
    timeout = timeout_of(call, arguments.timeout_seconds)
    user = run_as(call, arguments.user)
    call.policy.check_command(command, user=arguments.user, sets_variables=bool(environment))
    await _confirmed(call, arguments, command)
    request = CommandRequest(
        command=command,
        working_directory=arguments.workdir,
        environment=environment,
        stdin=(arguments.stdin or "").encode(errors="surrogatepass"),
        run_as=user,
    )
    return await run(
        call,
        request,
        tool="execute_command",
        timeout=timeout,
        wait=arguments.wait_seconds,
        encoding=arguments.output_encoding,
    )


async def execute_script(call: Call, arguments: ScriptArguments) -> CommandResult:
    """Run a program text with an interpreter."""
    call.facts |= {
        "script_sha256": hashlib.sha256(arguments.script.encode(errors="surrogatepass")).hexdigest(),
        "command": arguments.interpreter,
    }
    interpreter = _words(arguments.interpreter)
    line = (*interpreter, *arguments.args)
    call.facts["command"] = shlex.join(line)
    if not arguments.script.strip():
        raise InvalidRequest("The script is empty.")
    _check_text("interpreter and args", *line)
    environment = _environment(call, arguments)
    timeout = timeout_of(call, arguments.timeout_seconds)
    user = run_as(call, arguments.user)
    call.policy.check_script(line, arguments.script, user=arguments.user, sets_variables=bool(environment))
    await _confirmed(call, arguments, shlex.join(line), arguments.script)
    request = CommandRequest(
        script=Script(interpreter, arguments.script.encode(errors="surrogatepass"), tuple(arguments.args)),
        working_directory=arguments.workdir,
        environment=environment,
        stdin=(arguments.stdin or "").encode(errors="surrogatepass"),
        run_as=user,
    )
    return await run(
        call,
        request,
        tool="execute_script",
        timeout=timeout,
        wait=arguments.wait_seconds,
        encoding=arguments.output_encoding,
    )


async def _confirmed(call: Call, arguments: RunArguments, *lines: str) -> None:
    await confirmed(
        call,
        *lines,
        user=arguments.user,
        workdir=arguments.workdir,
        environment=arguments.env,
        stdin=arguments.stdin,
    )


def _words(interpreter: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(interpreter))
    except ValueError as error:
        raise InvalidRequest(f"The interpreter can't be read: {error}.") from None
    if not words:
        raise InvalidRequest("The interpreter is empty.", hint="Name a program, e.g. python3.")
    return words


def _environment(call: Call, arguments: RunArguments) -> dict[str, str]:
    """The variables, checked; only their names are ever told to anybody."""
    environment = arguments.env or {}
    if environment:
        call.facts["env"] = " ".join(sorted(environment))
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidRequest(f"{name[:100]!a} is no name for a variable: letters, digits and _ make one.")
        _check_text(f"variable {name}", value)
    _check_text("workdir", arguments.workdir or "")
    return environment


def _check_text(what: str, *texts: str) -> None:
    if any("\0" in text for text in texts):
        raise InvalidRequest(f"The {what} contains a NUL character, which no command can hold.")


def _hidden(policy: Policy, caller: Caller) -> tuple[str, ...]:
    """sudo is told only to who can use it."""
    usable = policy.sudo.type != "Never" and (caller.is_probe or Permission.SUDO in caller.permissions)
    return () if usable else ("sudo", "as_user")


_ANNOTATIONS = types.ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
)

TOOLS = (
    Tool(
        name="execute_command",
        title="Execute a command",
        description=(
            "Run a command line in the account's shell; returns exit code, stdout and stderr. Each call is a new "
            "shell: join what belongs together (`cd /srv && make`). No terminal: use non-interactive options. An exit "
            "code other than 0 is a result, not an error. Long output is cut in its middle; read_output has the rest "
            "and exact bytes."
        ),
        group=ToolGroup.EXECUTE,
        permission=Permission.EXECUTE,
        annotations=_ANNOTATIONS,
        arguments=ExecuteArguments,
        result=CommandResult,
        run=execute_command,
        hidden=_hidden,
    ),
    Tool(
        name="execute_script",
        title="Execute a script",
        description=("Run a program text with any interpreter, without quoting trouble; else like execute_command."),
        group=ToolGroup.EXECUTE,
        permission=Permission.EXECUTE,
        annotations=_ANNOTATIONS,
        arguments=ScriptArguments,
        result=CommandResult,
        run=execute_script,
        hidden=_hidden,
    ),
)
