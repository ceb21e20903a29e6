"""Commands behave to the byte as `ssh host command` does, whatever the login shell and however they are started."""

import asyncio
import re
import shutil

import asyncssh
import pytest

from fairlead_sidecar.ssh import pool
from fairlead_sidecar.ssh.request import CommandRequest, Script
from tests.integration.ssh.running import Ran, RunningLink, StartLink
from tests.integration.sshd import PATIENCE_SECONDS, SshdFactory, eventually

POSIX = ["/bin/bash", "/bin/dash", "/usr/bin/zsh", "/usr/bin/mksh"]
FOREIGN = ["/usr/bin/tcsh", "/usr/bin/fish"]

COMMANDS = [
    "true",
    "false",
    "echo a  'b  c' \"d\"",
    "echo -n x",
    "printf '%s|' a 'b c'",
    "pwd",
    "test 1 -gt 2",
    "test -d /",
    "ls -d /",
    "ls /fairlead-does-not-exist",
    "fairlead-does-not-exist -x",
    "/fairlead/does/not/exist",
    "/etc/passwd",
    "/tmp",
    "cat",
    "exit 42",
    "(exit 7)",
    "kill -9 $$",
    "sh -c 'kill -TERM $$'",
    "sh -c 'kill -SEGV $$'; echo after $?",
    "false || exit 9",
    "true; sh -c 'exit 6'",
    "echo out; echo err >&2; exit 3",
    "echo $0",
    "if then",
    "echo 'open",
    "X=1; echo $X $Y",
    "Y=2 sh -c 'echo $Y'",
    "echo one\necho two\n",
    "cat <<E\nhere $((1+1))\nE",
    "trap 'echo bye' EXIT; echo hi",
    "echo ~ | wc -l",
    "sleep 0.05 & wait; echo done",
    "set -e; false; echo no",
    "head -c 100 /dev/zero",
    "env | grep -c ^HOME=",
    "  ls   -d   /  ",
    "cd /usr && pwd",
    "seq 3 | tac",
    "yes | head -n 2",
    "dirname /a/b",
    "echo \\$HOME $((2+3)) `echo z`",
]


async def bare(connection: asyncssh.SSHClientConnection, command: str) -> tuple[bytes, bytes, int | None, str | None]:
    ran = await connection.run(command, encoding=None, stdin=asyncssh.DEVNULL)
    signal = ran.exit_signal[0] if ran.exit_signal else None
    code = None if signal else ran.exit_status
    assert isinstance(ran.stdout, bytes)
    assert isinstance(ran.stderr, bytes)
    return ran.stdout, ran.stderr, code, signal


def seen(ran: Ran) -> tuple[bytes, bytes, int | None, str | None]:
    return ran.stdout, ran.stderr, ran.exit_code, ran.signal


def settled(outcome: tuple[bytes, bytes, int | None, str | None]) -> tuple[bytes, bytes, int | None, str | None]:
    """An outcome without process numbers and names of temporary files."""
    stdout, stderr, code, signal = outcome
    return stdout, re.sub(rb" *\d+ (?=Segmentation)|(?<=/tmp/sh)\w+", b"", stderr), code, signal


@pytest.mark.parametrize("shell", POSIX)
async def test_every_command_ends_as_over_ssh(sshd_factory: SshdFactory, start_link: StartLink, shell: str) -> None:
    assert shutil.which(shell), f"this machine has no {shell}"
    server = sshd_factory(username="deploy", shell=shell, options={"MaxSessions": "50"})
    link = start_link(server.sidecar_config())
    async with await server.bare_connection() as connection:
        expected = {command: settled(await bare(connection, command)) for command in COMMANDS}
    # One after the other they meet waiting shells; all at once, most are sent with the request for one.
    alone = {command: settled(seen(await link.run(command))) for command in COMMANDS}
    together = await asyncio.gather(*(link.run(command) for command in COMMANDS))
    assert alone == expected
    assert {command: settled(seen(ran)) for command, ran in zip(COMMANDS, together, strict=True)} == expected


async def one_of_each(link: RunningLink) -> None:
    ran = await link.run("id -un; echo e >&2; exit 3")
    assert (ran.stdout, ran.stderr, ran.exit_code) == (b"deploy\n", b"e\n", 3)
    assert (await link.run("printenv LOGIN_ONLY")).stdout == b"yes it's\n"
    assert (await link.run("kill -s KILL $$")).signal == "KILL"
    assert (await link.run("sleep 0.01 | cat; echo 'a' \"b\" | tr a-z A-Z")).stdout == b"A B\n"
    assert (await link.run(CommandRequest(command="cat", stdin=b"in\n" * 1000))).stdout == b"in\n" * 1000
    assert (await link.run(CommandRequest(argv=("printf", "%s", "$x 'y'"), environment={"x": "1"}))).stdout == b"$x 'y'"
    script = Script(("sh",), b'read -r x; echo "$x $V"\n')
    ran = await link.run(CommandRequest(script=script, stdin=b"l\n", environment={"V": "a\nb"}, working_directory="/"))
    assert ran.stdout == b"l a\nb\n"


@pytest.mark.parametrize("shell", [*POSIX, *FOREIGN])
async def test_every_login_shell_works(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    # The first commands wait for the environment; here for as long as a slow machine needs for it.
    monkeypatch.setattr(pool, "FACTS_SECONDS", PATIENCE_SECONDS)
    assert shutil.which(shell), f"this machine has no {shell}"
    server = sshd_factory(username="deploy", shell=shell)
    (server.home / ".profile").write_text('export LOGIN_ONLY="yes it\'s"\n')
    (server.home / ".zprofile").write_text('export LOGIN_ONLY="yes it\'s"\n')
    (server.home / ".tcshrc").write_text('setenv LOGIN_ONLY "yes it\'s"\n')
    (server.home / ".config/fish").mkdir(parents=True)
    (server.home / ".config/fish/config.fish").write_text(
        'if status is-interactive\n set -gx LOGIN_ONLY "yes it\'s"\nend\n'
    )
    link = start_link(server.sidecar_config())
    await one_of_each(link)
    await asyncio.gather(*(one_of_each(link) for _ in range(3)))
    ran = await link.run("sleep 88.5; true", timeout=3)
    assert (ran.stopped, ran.signal) == ("timeout", "TERM")
    await eventually(lambda: not server.running("88.5"), "its end")
