import contextlib
import time

import psutil
import pytest

from fairlead_sidecar.errors import InvalidRequest, ProtocolFailure
from fairlead_sidecar.ssh.pool import WARM
from fairlead_sidecar.ssh.result import Stream
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually, runs


async def test_streams_and_exit_code_come_back_separately(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config())
    result = await link.run("id -un; echo problem >&2; exit 3")
    assert (result.exit_code, result.signal, result.stopped) == (3, None, None)
    assert result.stdout == f"{account_sshd.username}\n".encode()
    assert result.stderr == b"problem\n"
    assert (result.written["stdout"], result.written["stderr"]) == (len(result.stdout), 8)
    assert result.end is not None
    assert 0 < result.end.duration_seconds < 20


async def test_a_command_runs_in_the_home_directory_with_the_login_shell(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    result = await start_link(server.sidecar_config()).run('pwd; [[ $SHELL = /bin/bash ]] && echo "$BASH_VERSION"')
    home, version = result.stdout.decode().splitlines()
    assert home == "/home/deploy"
    assert version


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/bin/dash"])
async def test_every_posix_login_shell_runs_commands(
    sshd_factory: SshdFactory, start_link: StartLink, shell: str
) -> None:
    link = start_link(sshd_factory(username="deploy", shell=shell).sidecar_config())
    result = await link.run("for i in 1 2; do echo $i; done; exit 7")
    assert (result.stdout, result.exit_code) == (b"1\n2\n", 7)


@pytest.mark.parametrize(
    "command",
    [
        "printf 'a\\nb\\n' |\n  wc -l |\n  tr -d ' '",
        "cat <<'END' | wc -l | tr -d ' '\n.first\n+second\nEND",
        'x=\'2\'\n\n\nprintf "%s\\n" "$x"\n',
        "python3 -c 'print(\"2\")' || echo '2'  # it'\"'\"'s",
        'echo "$((1 + 1))" \\\n',
    ],
)
async def test_quotes_and_line_ends_reach_the_shell_as_they_are(
    sshd_factory: SshdFactory, start_link: StartLink, command: str
) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    assert (await link.run(command)).stdout == b"2\n"


async def test_output_is_exact_to_the_byte(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    every_byte = bytes(range(256)) * 300
    server.local("/home/deploy/data").write_bytes(every_byte)
    result = await start_link(server.sidecar_config()).run("cat data; printf '\\377\\0' >&2")
    assert result.stdout == every_byte
    assert result.stderr == b"\xff\x00"


async def test_a_command_may_hold_any_text(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    text = "ä€😀 \\n \\ \t ! % $'x' * ~ `x`"
    quoted = "'" + text.replace("'", "'\\''") + "'"
    assert (await link.run(f"printf '%s' {quoted}")).stdout.decode() == text
    long = "x" * 100_000
    assert (await link.run(f"printf '%s' {long} | wc -c")).stdout.strip() == b"100000"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [("", "empty"), (" \n", "empty"), ("echo a\0b", "NUL"), ("x" * 200_000, "200000 bytes, more than the 120000")],
)
async def test_a_command_that_no_shell_takes_is_refused(
    sshd: Sshd, start_link: StartLink, command: str, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        await start_link(sshd.sidecar_config()).run(command)


async def test_standard_input_is_empty(account_sshd: Sshd, start_link: StartLink) -> None:
    result = await start_link(account_sshd.sidecar_config()).run("cat; echo end of input", timeout=10)
    assert (result.stdout, result.exit_code) == (b"end of input\n", 0)


@pytest.mark.parametrize("signal", ["SEGV", "KILL", "TERM"])
async def test_death_by_a_signal_is_reported_by_name(account_sshd: Sshd, start_link: StartLink, signal: str) -> None:
    result = await start_link(account_sshd.sidecar_config()).run(f"echo before; kill -s {signal} $$; echo after")
    assert (result.signal, result.exit_code, result.stdout) == (signal, None, b"before\n")
    assert result.stopped is None


async def test_a_simple_command_that_dies_reports_its_own_signal(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    assert (await link.run("python3 -c 'import os; os.abort()'")).signal == "ABRT"


async def test_what_startup_files_print_is_no_output_of_the_command(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text("echo welcome; echo hint >&2; printf 'no line end'; export FROM_RC=yes\n")
    link = start_link(server.sidecar_config())
    for _ in range(5):
        result = await link.run("echo $FROM_RC; echo e >&2")
        assert (result.stdout, result.stderr) == (b"yes\n", b"e\n")


def waiting_shells(server: Sshd) -> int:
    count = 0
    for process in server.processes():
        with contextlib.suppress(psutil.Error):
            count += runs(process, "fl_text")
    return count


async def test_a_waiting_shell_that_ends_by_itself_costs_no_command(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())
    for n in range(5):
        await link.run("true")
        await eventually(lambda: waiting_shells(server) >= WARM, "all waiting shells")
        for process in server.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any("fl_text" in word for word in process.cmdline()):
                    process.kill()
        assert (await link.run(f"echo {n}; echo {n} >>runs")).stdout == b"%d\n" % n
    assert (server.home / "runs").read_text().split() == ["0", "1", "2", "3", "4"]


async def test_startup_files_run_once_for_a_command(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text("export TIMES=x$TIMES\n")
    assert (await start_link(server.sidecar_config()).run("echo $TIMES")).stdout == b"x\n"


async def test_a_process_left_in_the_background_does_not_hold_the_call(
    account_sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(account_sshd.sidecar_config())
    await link.run("true")
    started = time.monotonic()
    result = await link.run("sleep 61.25 & echo x")
    assert (result.stdout, result.exit_code) == (b"x\n", 0)
    assert time.monotonic() - started < 15
    await eventually(lambda: account_sshd.running("61.25"), "what was left to run")


async def test_a_background_process_that_goes_on_writing_does_not_hold_the_call(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    for chatter in ("while :; do echo tick; sleep 0.05; done", "yes"):
        started = time.monotonic()
        result = await link.run(f"({chatter}) & echo x; exit 4", keep=1000)
        assert result.exit_code == 4
        assert time.monotonic() - started < 10


async def test_output_written_right_before_the_exit_is_complete(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    for _ in range(20):
        result = await link.run("head -c 300000 /dev/zero; echo last >&2", keep=1_000_000)
        assert (result.written["stdout"], len(result.stdout), result.stderr) == (300_000, 300_000, b"last\n")


async def test_output_arrives_while_the_command_runs(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    gate = server.home / "gate"
    link = start_link(server.sidecar_config())
    seen: list[tuple[Stream, bytes]] = []

    def listen(stream: Stream, data: bytes) -> None:
        seen.append((stream, data))
        if data.endswith(b"first\n"):
            # The command waits for this file, so this output came while it ran.
            gate.touch()

    result = await link.run("echo first; while [ ! -e gate ]; do sleep 0.02; done; echo second >&2", also=listen)
    assert seen == [("stdout", b"first\n"), ("stderr", b"second\n")]
    assert (result.stdout, result.stderr) == (b"first\n", b"second\n")


async def test_bytes_are_counted(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("head -c 5000 /dev/zero")
    assert link.counts.bytes == {"received": 5000, "sent": len("head -c 5000 /dev/zero")}


async def test_an_account_without_a_shell_says_so(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    link = start_link(sshd_factory(username="deploy", shell="/usr/sbin/nologin").sidecar_config())
    with pytest.raises(ProtocolFailure, match=r"runs no commands.*not available") as failure:
        await link.run("true")
    assert "login shell" in failure.value.hint


async def test_a_forced_command_is_not_mistaken_for_a_result(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    server.authorize(server.client_key, prefix='command="echo backup only"')
    link = start_link(server.sidecar_config())
    for _ in range(3):
        with pytest.raises(ProtocolFailure, match="backup only"):
            await link.run("rm -rf something")
