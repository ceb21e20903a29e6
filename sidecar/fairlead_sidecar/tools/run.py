"""From a checked request to a result: in the foreground first, in the background if it takes long."""

import asyncio
import contextlib
import json
from collections.abc import Mapping

from fairlead_sidecar.config import Permission
from fairlead_sidecar.errors import CommandTimedOut, FairleadError, InvalidRequest, PermissionDenied, TooBusy
from fairlead_sidecar.ssh.request import CommandRequest, RunAs
from fairlead_sidecar.ssh.result import CommandEnd
from fairlead_sidecar.tools.command_result import CommandResult, OutputEncoding, command_result
from fairlead_sidecar.tools.output import CommandOutput
from fairlead_sidecar.tools.progress import LiveOutput
from fairlead_sidecar.tools.redact import read_secret
from fairlead_sidecar.tools.running import Command
from fairlead_sidecar.tools.spec import Call, Failed

QUESTION = "Run this on {host} as {user}{surroundings}?\n\n{text}"


def run_as(call: Call, user: str | None) -> RunAs | None:
    """The other account that a command is to run as, with what sudo needs; None for the login's own.

    Raises:
        PermissionDenied: The token may not.
        PolicyDenied: The host's policy does not allow it.
        CredentialsNotFound: The password's file is missing.
    """
    if user is None:
        return None
    call.facts["user"] = user
    if Permission.SUDO not in call.caller.permissions:
        raise PermissionDenied("Running commands as another account needs the permission Sudo, which the token lacks.")
    return sudo_to(call, user)


def sudo_to(call: Call, user: str) -> RunAs:
    """As `run_as`, for a command whose account the host's owner chose."""
    call.facts["user"] = user
    call.policy.check_user(user)
    password = call.policy.sudo.password
    return RunAs(user, None if password is None else read_secret(password).decode(errors="surrogateescape"))


def timeout_of(call: Call, wanted: float | None) -> float:
    """How long a command may run.

    Raises:
        InvalidRequest: More is asked for than the host allows.
    """
    limit = call.limits.command_timeout
    if wanted is not None and wanted > limit:
        msg = f"timeout_seconds is {wanted:g}, above this host's limit of {limit:g} seconds."
        raise InvalidRequest(msg, hint=f"Give at most {limit:g}, or leave it out.")
    return limit if wanted is None else wanted


async def confirmed(
    call: Call,
    *lines: str,
    user: str | None,
    workdir: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> None:
    """Ask the person behind the client where the policy wants it.

    They are shown all that the caller chose: a directory, a variable or standard input can make another program of the
    same line.

    Raises:
        ConfirmationRefused: They did not agree.
    """
    if call.policy.needs_confirmation(*lines, user=user):
        account = call.account if user is None else f"{user} (sudo)"
        surroundings = _surroundings(workdir, environment or {}, stdin or "")
        question = QUESTION.format(host=call.host, user=account, surroundings=surroundings, text="\n".join(lines))
        await call.confirm(call.redactor.text(question))


def _surroundings(workdir: str | None, environment: Mapping[str, str], stdin: str) -> str:
    """What is said before the lines, and in one line, so that none of it can be taken for them."""
    said = [f"in the directory {_quoted(workdir)}"] if workdir else []
    if environment:
        said.append(f"with {', '.join(f'{name}={_quoted(value)}' for name, value in sorted(environment.items()))}")
    if stdin:
        said.append(f"with the standard input {_quoted(stdin)}")
    return "".join(f", {part}" for part in said)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


async def run(
    call: Call,
    request: CommandRequest,
    *,
    tool: str,
    timeout: float,
    wait: float | None = None,
    encoding: OutputEncoding = "auto",
) -> CommandResult:
    """Run what was checked, and wait for its end or until it goes on in the background.

    Raises:
        FairleadError: It did not run.
        Failed: It was killed at a deadline, or how it ended is not known; with the output up to then.
    """
    wait = call.limits.foreground_timeout if wait is None else min(wait, call.limits.foreground_timeout)
    if not wait:
        call.commands.check_room(call.caller.owner)
    call.commands.admit(call.caller, call.limits)
    live = LiveOutput(call.progress) if call.progress is not None else None
    command = _start(call, request, live, tool, timeout)
    try:
        async with live.reporting() if live is not None else contextlib.nullcontext():
            await _foreground(call, command, wait)
    except asyncio.CancelledError:
        await call.commands.cancel(command)
        call.commands.settle(command, keep=False)
        raise
    result = command_result(command, encoding)
    _tell(call, command)
    if command.cancelled:
        # Not by this call, and nobody else knew of it: see `Commands.enforce`.
        call.commands.settle(command, keep=False)
        raise Failed(
            PermissionDenied("The token or the host lost what the command needs while it ran; it was killed."), result
        )
    if command.running:
        call.facts |= {"command_id": command.id, "status": "running"}
        return result
    call.commands.settle(command, keep=result.output_id is not None)
    return checked(command, result)


def checked(command: Command, result: CommandResult) -> CommandResult:
    """The result of a command, unless it did not end by itself.

    Raises:
        FairleadError: It failed without having written anything.
        Failed: It was killed at a deadline, or how it ended is not known.
    """
    if isinstance(command.error, FairleadError):
        if not any(command.output.total.values()):
            raise command.error
        raise Failed(command.error, result)
    if command.error is not None:
        raise Failed(FairleadError("The command failed unexpectedly."), result)
    if command.end is not None and command.end.stopped is not None:
        idle = command.end.stopped == "idle"
        after = f"writing nothing for {command.idle_timeout:g} seconds" if idle else f"{command.timeout:g} seconds"
        msg = f"The command was killed after {after}; the output up to then is in the result."
        raise Failed(CommandTimedOut(msg), result)
    return result


def _start(call: Call, request: CommandRequest, live: LiveOutput | None, tool: str, timeout: float) -> Command:
    idle = call.limits.idle_timeout
    output = CommandOutput(call.redactor, call.commands.spool.open(call.caller.owner), call.limits.output_bytes, live)

    async def execute(output: CommandOutput) -> CommandEnd:
        with call.room:
            return await call.link.run_command(request, timeout=timeout, idle_timeout=idle, sink=output.feed)

    # A named command with an account of its owner's choice takes no permission for it.
    chosen = request.run_as is not None and request.argv is None
    return call.commands.start(
        execute,
        output,
        host=call.host,
        caller=call.caller,
        needs={Permission.EXECUTE, Permission.SUDO} if chosen else {Permission.EXECUTE},
        tool=tool,
        facts={
            "subject": call.caller.subject,
            "token_id": call.caller.token_id,
            "user": request.run_as.user if request.run_as else None,
        },
        timeout=timeout,
        idle_timeout=idle,
    )


async def _foreground(call: Call, command: Command, wait: float) -> None:
    """Wait for the end, or until the command was sent to the background."""
    if wait:
        await asyncio.wait([command.task], timeout=wait)
    if not command.running:
        return
    try:
        call.commands.to_background(command)
    except TooBusy:
        # There is no room, and this call is as good a place to wait as any.
        await asyncio.wait([command.task])


def _tell(call: Call, command: Command) -> None:
    """What the audit line says of it."""
    end = command.end
    call.facts["output_bytes"] = sum(command.output.total.values())
    if end is not None:
        call.facts |= {"exit_code": end.exit_code, "signal": end.signal}
