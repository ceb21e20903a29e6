"""MCP on the standard input and output of a session of an SSH server, whose host key is always verified."""

import asyncio
import contextlib
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fairlead_client.connect import answers, key_server, messages, ssh_key
from fairlead_client.connect.errors import ConnectError
from fairlead_client.connect.lines import Lines
from fairlead_client.connect.messages import Id
from fairlead_client.connect.run import say, stopped_by_signals
from fairlead_client.connect.stdio import Stdio
from fairlead_client.destination import Destination
from fairlead_client.serve.target import SshConfigError, resolve
from fairlead_sidecar.config import Connection, KnownHosts, LocalAccount, PinnedHostKeys, SidecarConfig, Target
from fairlead_sidecar.errors import AuthenticationFailed, HostKeyMismatch, LinkError
from fairlead_sidecar.ssh.login import login, new_progress
from fairlead_sidecar.ssh.route import place_of
from fairlead_sidecar.ssh.totp import OneTimeCodes

LONGEST_LOGIN = 30.0
GOODBYE_SECONDS = 2.0
"""What the command has to end by itself, once its input has ended."""
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class SshOptions:
    """The command line."""

    destination: Destination
    command: tuple[str, ...] = ()
    """Words, put together and parsed by the account's shell, as with `ssh`; none: the account's own shell, which is
    what a server offers that speaks nothing but MCP."""
    client_key: Path | None = None
    """None: the keys that `ssh` would offer."""
    passphrase_file: Path | None = None
    known_hosts: Path | None = None
    """None: what the SSH configuration says, else the user's own."""
    key_server: str | None = None
    """Root of the key server to exchange keys with; None: none."""
    connect_timeout: float = LONGEST_LOGIN


def run(options: SshOptions) -> int:
    """Connect standard input and output with a session.

    Returns:
        0, once the client has closed its end or a signal came; 1 when the other end closed first, and not in order.

    Raises:
        ConnectError: It can't begin.
    """
    config = _config(options)
    code = asyncio.run(_run(options, config))
    # As for HTTP: a thread waits in read().
    sys.stderr.flush()
    os._exit(code)


def _config(options: SshOptions) -> SidecarConfig:
    """The login as the rest of Fairlead describes it.

    Raises:
        ConnectError: The key can't be used, the key server can't be believed, the SSH configuration can't be read.
    """
    try:
        target = resolve(options.destination, None)
    except SshConfigError as error:
        raise ConnectError(str(error)) from error
    keys_from = options.key_server and key_server.check(options.key_server, _known_as(target))
    if keys_from and options.client_key is None:
        msg = "a key server takes the public half of one key: name it with --client-key"
        raise ConnectError(msg)
    identities: tuple[Path, ...] = ()
    if options.client_key is not None:
        public = ssh_key.prepare(options.client_key, options.passphrase_file)
        identities = (options.client_key,)
        if keys_from:
            key_server.register(keys_from, public)
    trust: PinnedHostKeys | KnownHosts = KnownHosts(file=options.known_hosts)
    if keys_from and options.known_hosts is None:
        trust = PinnedHostKeys(public_keys=(key_server.host_key(keys_from),))
    return SidecarConfig(
        instance="connect",
        namespace="local",
        name=target.address,
        target=target,
        auth=LocalAccount(identity_files=identities),
        host_key=trust,
        connection=Connection(connect_timeout=max(1.0, min(options.connect_timeout, LONGEST_LOGIN))),
    )


async def _run(options: SshOptions, config: SidecarConfig) -> int:
    try:
        logged_in = await login(config, new_progress(config), OneTimeCodes())
    except LinkError as error:
        raise ConnectError(_explained(error, config.target, options)) from error
    client = Stdio()
    with stopped_by_signals(client.ended):
        try:
            process = await logged_in.connection.create_process(" ".join(options.command) or None, encoding=None)
            return await _pump(client, process, place_of(config.target.address, config.target.port), options.command)
        except asyncssh.Error as error:
            msg = f"the server opens no session: {error.reason}"
            raise ConnectError(msg) from error
        finally:
            logged_in.connection.close()


async def _pump(
    client: Stdio, process: "asyncssh.SSHClientProcess[bytes]", place: str, command: tuple[str, ...]
) -> int:
    """Carry lines until one end closes."""
    unanswered: set[Id] = set()
    client.start()
    tasks = [
        asyncio.create_task(_send(client, process, unanswered)),
        asyncio.create_task(_receive(client, process, unanswered, shell=not command)),
        asyncio.create_task(_errors(process)),
    ]
    ended = asyncio.create_task(client.ended.wait())
    await asyncio.wait([tasks[1], ended], return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if client.ended.is_set():
        process.stdin.write_eof()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait_closed(), GOODBYE_SECONDS)
    else:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(process.wait_closed(), tasks[2]), GOODBYE_SECONDS)
        why, code = _end(process, place)
        for answer in messages.errors(tuple(unanswered), messages.CONNECTION_CLOSED, f"fairlead connect: {why}"):
            await client.write(answer.text.encode())
        say(why)
    for task in (*tasks, ended):
        task.cancel()
    await asyncio.gather(*tasks, ended, return_exceptions=True)
    return code


async def _send(client: Stdio, process: "asyncssh.SSHClientProcess[bytes]", unanswered: set[Id]) -> None:
    async for line in client.lines():
        with contextlib.suppress(ValueError):
            unanswered.update(messages.read(line.decode()).requests)
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            # What ended, and why, is known where it is read.
            process.stdin.write(line + b"\n")
            await process.stdin.drain()


async def _receive(
    client: Stdio, process: "asyncssh.SSHClientProcess[bytes]", unanswered: set[Id], *, shell: bool
) -> None:
    lines = Lines()
    with contextlib.suppress(asyncssh.Error, OSError):
        while piece := await process.stdout.read(_CHUNK):
            for line in lines.feed(piece):
                try:
                    unanswered.difference_update(messages.read(line.decode()).answers)
                except ValueError:
                    # The greeting of a start-up file, for example: it would break the client.
                    say(f"No MCP: {line.decode(errors='replace')}")
                    if shell:
                        say("If this is a shell and no server: give the command that speaks MCP, after --.")
                        shell = False
                else:
                    await client.write(line)


async def _errors(process: "asyncssh.SSHClientProcess[bytes]") -> None:
    with contextlib.suppress(asyncssh.Error, OSError):
        while piece := await process.stderr.read(_CHUNK):
            await asyncio.to_thread(os.write, 2, piece)


def _end(process: "asyncssh.SSHClientProcess[bytes]", place: str) -> tuple[str, int]:
    """Why it is over, in words, and the exit code."""
    if process.exit_signal is not None:
        return f"The command on {place} was ended by the signal {answers.shown(process.exit_signal[0])}.", 1
    if process.exit_status is None:
        return f"The connection to {place} was lost.", 1
    if process.exit_status == 127:
        return f"The command was not found on {place} (exit status 127): give its absolute path.", 1
    code = 0 if process.exit_status == 0 else 1
    return f"The command on {place} ended with exit status {process.exit_status}.", code


def _explained(error: LinkError, target: Target, options: SshOptions) -> str:
    """Why the login failed, in the words of somebody at a terminal."""
    fact = error.message
    if isinstance(error, AuthenticationFailed):
        return (
            f"{fact}\nName the key with --client-key, or load it into ssh-agent, and let its public half be known "
            "there (authorized_keys)."
        )
    if not isinstance(error, HostKeyMismatch):
        return f"{fact} {error.hint}" if error.hint else fact
    name = shlex.quote(_known_as(target))
    file = shlex.quote(str(options.known_hosts)) if options.known_hosts else "~/.ssh/known_hosts"
    return (
        f"{fact}\nNothing was sent to it. Compare the fingerprint with what the server itself says (run there: "
        f"ssh-keygen -lf FILE, with the file of its host key). To see what is known: ssh-keygen -F {name} -lf {file}. "
        f"If it is the right one: ssh-keyscan -p {target.port} {shlex.quote(target.address)} > key; compare again with "
        f"ssh-keygen -lf key; cat key >> {file}. If a key has changed and you know why, remove the old one first: "
        f"ssh-keygen -R {name} -f {file}."
    )


def _known_as(target: Target) -> str:
    """The name of a server in `known_hosts`."""
    return target.address if target.port == asyncssh.DEFAULT_PORT else f"[{target.address}]:{target.port}"
