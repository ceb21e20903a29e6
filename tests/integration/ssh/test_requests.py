"""Standard input, words without a shell, scripts for any interpreter."""

import asyncio
import shutil

import asyncssh
import pytest

from fairlead_sidecar.ssh.request import CommandRequest, Script
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually


@pytest.fixture
def server(sshd_factory: SshdFactory) -> Sshd:
    return sshd_factory(username="deploy")


@pytest.fixture
async def link(server: Sshd, start_link: StartLink) -> RunningLink:
    return start_link(server.sidecar_config())


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
async def test_standard_input_arrives_whole_and_ends(
    sshd_factory: SshdFactory, start_link: StartLink, shell: str
) -> None:
    link = start_link(sshd_factory(username="deploy", shell=shell).sidecar_config())
    data = bytes(range(256)) * 20_000
    for command in ("cat", "cat; true"):
        ran = await link.run(CommandRequest(command=command, stdin=data), keep=10_000_000)
        assert ran.stdout == data
    burst = await asyncio.gather(*(link.run(CommandRequest(command="wc -c", stdin=data[:100_000])) for _ in range(8)))
    assert {ran.stdout for ran in burst} == {b"100000\n"}


async def test_input_that_nobody_reads_holds_nothing_up(link: RunningLink) -> None:
    ran = await link.run(CommandRequest(command="head -c 3", stdin=b"x" * 5_000_000))
    assert (ran.stdout, ran.exit_code) == (b"xxx", 0)
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_words_reach_the_program_as_they_are(link: RunningLink) -> None:
    words = ("printf", "[%s]", "a b", "", "it's", "$HOME", "*", "new\nline", "`id`", "ä", "-x", "\\")
    assert (await link.run(CommandRequest(argv=words))).stdout.decode() == "".join(f"[{word}]" for word in words[2:])


async def test_words_never_name_anything_but_a_program(link: RunningLink) -> None:
    missing = await link.run(CommandRequest(argv=("fairlead-no-such-program",)))
    assert (missing.exit_code, missing.stdout) == (127, b"")
    assert b"not found" in missing.stderr
    assert (await link.run(CommandRequest(argv=("exit",)))).exit_code == 127


async def test_a_plain_command_that_is_not_found_is_reported_as_the_shell_does(link: RunningLink) -> None:
    ran = await link.run("fairlead-no-such-program --x")
    assert ran.exit_code == 127
    assert ran.stderr == b"bash: line 1: fairlead-no-such-program: command not found\n"


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
async def test_names_messages_and_signals_are_those_that_ssh_shows(
    sshd_factory: SshdFactory, start_link: StartLink, shell: str
) -> None:
    server = sshd_factory(username="deploy", shell=shell)
    script = server.home / "script"
    script.write_text('#!/bin/sh\necho "$0"\n')
    script.chmod(0o755)
    link = start_link(server.sidecar_config())
    await link.until_connected()
    async with await server.bare_connection() as ssh:
        for command in (
            "./script",
            "./missing",
            "/tmp",
            "missing",
            "echo $0",
            "test a b",
            "printf '%d' x",
            "echo 'a",
            "sh -c 'kill -s KILL $$'",
            "/bin/echo @call@ @size@ @locale@",
        ):
            plain = await ssh.run(command, encoding=None, stdin=asyncssh.DEVNULL)
            for _ in range(2):
                ran = await link.run(command)
                signal = plain.exit_signal[0] if plain.exit_signal else None
                assert (command, ran.stdout, ran.stderr) == (command, plain.stdout, plain.stderr)
                assert (command, ran.exit_code, ran.signal) == (command, None if signal else plain.exit_status, signal)


async def test_options_instead_of_a_command_are_refused_by_the_shell(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    link = start_link(sshd_factory(username="deploy", shell="/bin/dash").sidecar_config())
    ran = await link.run("-x")
    assert (ran.exit_code, ran.stdout) == (2, b"")


async def test_a_command_in_no_encoding_runs_where_no_shell_waits_too(link: RunningLink) -> None:
    command = b"echo '\xff\x81'".decode("utf-8", "surrogateescape")
    burst = await asyncio.gather(*(link.run(command) for _ in range(8)))
    assert {ran.stdout for ran in burst} == {b"\xff\x81\n"}


async def test_a_command_that_holds_the_launchers_own_words_keeps_them(link: RunningLink) -> None:
    burst = await asyncio.gather(*(link.run("echo @call@ @size@ @locale@") for _ in range(8)))
    assert {ran.stdout for ran in burst} == {b"@call@ @size@ @locale@\n"}


SCRIPTS = {
    "bash": (("bash", "-eu"), 'read -r line; echo "$1 $line"; [[ x == x ]]; echo \'it"s\'; exit 5'),
    "sh": (("sh",), 'read -r line\necho "$1 $line"\necho \'it"s\'\nexit 5\n'),
    "python3": (("python3",), "import sys\nprint(sys.argv[1], input())\nprint('''it\"s''')\nsys.exit(5)"),
    "perl": (("perl", "-w"), 'my $l = <STDIN>; print "$ARGV[0] $l"; print "it\\"s\\n"; exit 5;'),
    "node": (
        ("node",),
        (
            "const l = require('fs').readFileSync(0, 'utf8');\nprocess.stdout.write(process.argv[2] + ' ' + l);\n"
            "console.log('it\"s');\nprocess.exit(5);"
        ),
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
async def test_scripts_run_in_their_interpreter(
    sshd_factory: SshdFactory, start_link: StartLink, name: str, shell: str
) -> None:
    assert shutil.which(name), f"this machine has no {name}"
    server = sshd_factory(username="deploy", shell=shell)
    link = start_link(server.sidecar_config())
    interpreter, content = SCRIPTS[name]
    for padding in ("", "#" * 200_000 if name != "node" else "//" * 100_000):
        script = Script(interpreter, f"{content}\n{padding}".encode(), arguments=("an argument",))
        ran = await link.run(CommandRequest(script=script, stdin=b"a line\n"))
        assert (ran.stdout, ran.exit_code) == (b'an argument a line\nit"s\n', 5), ran.stderr


async def test_a_script_shows_in_no_process_list_and_leaves_no_file(server: Sshd, link: RunningLink) -> None:
    script = Script(("bash",), b"# unmistakable-4711\nsleep 98.5; true\n" + b"#" * 300_000)
    # Without what belongs to tests: their hosts have accounts of the same number.
    places = "/tmp /var/tmp /dev/shm . -path '/tmp/pytest-of-*' -prune -o"
    find = f"find {places} -type f -newer before -user {server.username} -print 2>/dev/null"
    await link.run("touch before")
    for _ in range(3):
        task = asyncio.create_task(link.run(CommandRequest(script=script)))
        await eventually(lambda: server.running("98.5"), "the script to run")
        assert not server.running("unmistakable-4711")
        assert (await link.run(find)).stdout == b""
        task.cancel()
        await asyncio.wait({task})
        await eventually(lambda: not server.running("98.5"), "its end")
    assert (await link.run(find)).stdout == b""


async def test_an_interpreter_that_is_missing_is_what_a_shell_says(link: RunningLink) -> None:
    ran = await link.run(CommandRequest(script=Script(("no-such-interpreter",), b"x")))
    assert ran.exit_code == 127
    assert b"not found" in ran.stderr
