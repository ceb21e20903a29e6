"""One command from start to end: its deadlines, and what its end means."""

import asyncio

from fairlead_sidecar.errors import ConnectionLost, InvalidRequest, ProtocolFailure, SudoFailed
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.program import NO_DIRECTORY
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import Stopped

_ENDED_BY_ITSELF = 255


class NotTaken(Exception):
    """The waiting shell ended before it took the command, so it certainly did not run."""


async def follow(
    launcher: Launcher, request: CommandRequest, *, deadline: float, idle_timeout: float | None = None
) -> Stopped | None:
    """Wait for the end of a command that was begun.

    Args:
        launcher: Its channel.
        request: What was begun.
        deadline: The event loop's time at which to give up waiting.
        idle_timeout: Seconds without any output after which to give up.

    Returns:
        None when it ended by itself, else why it has to be killed.

    Raises:
        NotTaken: It was never run.
        InvalidRequest: It was not run: there is no such working directory.
        SudoFailed: It was not run: sudo refused.
        ConnectionLost: Its end will never be known.
    """
    loop = asyncio.get_running_loop()
    while not launcher.ended.is_set():
        until = deadline if idle_timeout is None else min(deadline, launcher.active_at + idle_timeout)
        if loop.time() >= until:
            return "timeout" if until == deadline else "idle"
        try:
            async with asyncio.timeout_at(until):
                await launcher.ended.wait()
        except TimeoutError:
            # It may have written something meanwhile.
            continue
    if launcher.taken and launcher.exited:
        return None
    if launcher.sent and not launcher.exited and not launcher.refused:
        raise ConnectionLost("The connection to the host was lost while the command ran.")
    if launcher.exit_code == NO_DIRECTORY and request.working_directory is not None:
        raise _no_directory(launcher, request)
    if request.run_as is not None and launcher.process is not None and launcher.exit_code != _ENDED_BY_ITSELF:
        raise _sudo_failed(launcher, request.run_as.user)
    raise NotTaken


def not_a_shell(launcher: Launcher) -> ProtocolFailure:
    """The account ran something else, or nothing, instead of a shell."""
    answer = f" It answered: {launcher.noise!r}." if launcher.noise else ""
    return ProtocolFailure(
        f"The account runs no commands.{answer}",
        hint="Give the account a login shell and check for a forced command (authorized_keys, ForceCommand).",
    )


def not_ready() -> ProtocolFailure:
    """The account's start-up files take for ever."""
    return ProtocolFailure(
        "The account's login shell did not become ready in time.",
        hint="Look at its start-up files (.bashrc, .zshenv) and at the host's load.",
    )


def _no_directory(launcher: Launcher, request: CommandRequest) -> InvalidRequest:
    reason = launcher.complaint.rpartition(": ")[2] or "no reason given"
    return InvalidRequest(
        f"The working directory {request.working_directory!r} can't be entered: {reason}.",
        hint="Give a directory that exists on the host; the command was not run.",
    )


def _sudo_failed(launcher: Launcher, user: str) -> SudoFailed:
    said = launcher.complaint or "it gave no reason"
    return SudoFailed(f"sudo did not run the command as {user}: {said}")
