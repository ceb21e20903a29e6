"""Commands that run until they are ended, with their input open."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from fairlead_sidecar.config import Connection
from fairlead_sidecar.errors import ConnectionLost, InvalidRequest
from fairlead_sidecar.ssh.held import Held
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.request import CommandRequest
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import PATIENCE_SECONDS, Sshd, SshdFactory, eventually

DEAF = "trap '' TERM HUP INT"
# Commands are told apart by long numbers: short ones may stand in the ids that Fairlead gives its shells.


def ignored(_data: bytes) -> None:
    """What is written to stderr is of no interest."""


def sh(text: str) -> CommandRequest:
    return CommandRequest(argv=("sh", "-c", text))


async def read_all(held: Held) -> bytes:
    pieces = []
    while piece := await held.read():
        pieces.append(piece)
    return b"".join(pieces)


async def read_until(held: Held, condition: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not condition(data):
        piece = await held.read()
        assert piece, f"it ended after {data!r}"
        data += piece
    return data


async def test_input_and_output_go_on_as_long_as_it_runs(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config()).link
    stderr = bytearray()
    request = sh('echo begun >&2; while read -r line; do echo "got $line"; done; echo ended >&2; exit 3')
    async with link.hold(request, timeout=60, on_stderr=stderr.extend) as held:
        for word in (b"one", b"two", b"three"):
            await held.write(word + b"\n")
            assert await read_until(held, lambda data: data.endswith(b"\n")) == b"got " + word + b"\n"
        held.close_stdin()
        assert await read_all(held) == b""
        end = await held.wait()
    assert (end.exit_code, end.signal, bytes(stderr)) == (3, None, b"begun\nended\n")


async def test_ten_megabytes_go_in_and_come_back_unchanged(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    sent = bytes(range(256)) * 40_000
    async with link.hold(CommandRequest(argv=("cat",)), timeout=60, on_stderr=ignored) as held:

        async def write() -> None:
            await held.write(sent)
            held.close_stdin()

        _, received = await asyncio.gather(write(), read_all(held))
    assert received == sent


async def test_a_command_waits_while_nobody_reads_and_its_last_words_are_kept(
    sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(sshd.sidecar_config()).link
    request = sh("head -c 1000000 /dev/zero; echo last words")
    async with link.hold(request, timeout=60, on_stderr=ignored) as held:
        # Longer than what a command that has exited may be silent.
        await asyncio.sleep(2)
        assert (await read_all(held)).removeprefix(b"\0" * 1_000_000) == b"last words\n"
        assert (await held.wait()).exit_code == 0


async def test_a_command_that_takes_no_input_makes_its_writer_wait(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with link.hold(sh("sleep 6500.1"), timeout=60, on_stderr=ignored) as held:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await held.write(b"x" * 50_000_000)
        channel = held.launcher.channel
        assert channel is not None
        assert channel.get_write_buffer_size() < 200_000
    assert not sshd.running("6500.1")


async def test_leaving_ends_one_that_ends_with_its_input_in_order(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with link.hold(sh("cat; echo done > ~/ended"), timeout=60, on_stderr=ignored) as held:
        await held.write(b"x")
        await held.read()
    assert sshd.local(f"{sshd.remote_home}/ended").read_text() == "done\n"


async def test_leaving_kills_what_ignores_the_end_of_its_input_and_its_children(
    account_sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(account_sshd.sidecar_config()).link
    request = sh(f"{DEAF}; setsid -f sleep 6600.3; sleep 6600.1 & echo up; while :; do sleep 6600.2; done")
    async with link.hold(request, timeout=60, on_stderr=ignored) as held:
        assert await held.read() == b"up\n"
        await eventually(lambda: account_sshd.running("6600.2"), "the command")
    await eventually(lambda: not account_sshd.running("6600."), "the end of all of it")


async def test_leaving_ends_what_one_that_has_exited_left_behind(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config()).link
    request = sh("setsid -f sleep 6700.1 >/dev/null 2>&1; sleep 6700.2 >/dev/null 2>&1 & exit 4")
    async with link.hold(request, timeout=60, on_stderr=ignored) as held:
        assert (await held.wait()).exit_code == 4
        await eventually(lambda: account_sshd.running("6700.1"), "what it left")
    await eventually(lambda: not account_sshd.running("6700."), "the end of all of it")


async def test_cancelling_its_holder_ends_it(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config()).link

    begun = asyncio.Event()

    async def hold() -> None:
        async with link.hold(sh(f"{DEAF}; while :; do sleep 6800.1; done"), timeout=60, on_stderr=ignored) as held:
            begun.set()
            await held.wait()

    task = asyncio.create_task(hold())
    await begun.wait()
    await eventually(lambda: account_sshd.running("6800.1"), "the command")
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await eventually(lambda: not account_sshd.running("6800.1"), "its end")


async def test_cancelling_the_start_leaves_nothing(sshd: Sshd, start_link: StartLink) -> None:
    running = start_link(sshd.sidecar_config())
    await running.run("true")

    async def hold() -> None:
        async with running.link.hold(sh("sleep 6900.1"), timeout=60, on_stderr=ignored) as held:
            await held.wait()

    for delay in (0.0, 0.001, 0.003, 0.01, 0.03) * 4:
        task = asyncio.create_task(hold())
        await asyncio.wait({task}, timeout=delay)
        task.cancel()
        await asyncio.wait({task})
    await eventually(lambda: not sshd.running("6900.1"), "the end of all of them")


async def test_the_end_of_the_link_ends_it(sshd: Sshd, start_link: StartLink) -> None:
    running = start_link(sshd.sidecar_config())
    ended = asyncio.Event()

    async def hold() -> None:
        with suppress(ConnectionLost):
            async with running.link.hold(
                sh(f"{DEAF}; while :; do sleep 7000.1; done"), timeout=60, on_stderr=ignored
            ) as held:
                await read_all(held)
        ended.set()

    task = asyncio.create_task(hold())
    await eventually(lambda: sshd.running("7000.1"), "the command")
    await running.stop()
    assert not sshd.running("7000.1")
    await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
    assert ended.is_set()


async def test_a_lost_link_is_said_and_nothing_is_left_after_the_next_connect(
    account_sshd: Sshd, start_link: StartLink, quick_keepalive: Connection
) -> None:
    running = start_link(account_sshd.sidecar_config(connection=quick_keepalive))
    request = sh(f"{DEAF}; sleep 7100.1 & echo up; while :; do sleep 7100.2; done")
    async with running.link.hold(request, timeout=60, on_stderr=ignored) as held:
        assert await held.read() == b"up\n"
        account_sshd.drop_connections()
        with pytest.raises(ConnectionLost):
            await held.read()
        with pytest.raises(ConnectionLost):
            await held.wait()
        with pytest.raises(BrokenPipeError):
            await held.write(b"x")
    await eventually(lambda: not account_sshd.running("7100."), "its end after the next connect")
    assert (await running.run("echo back")).stdout == b"back\n"


async def test_new_credentials_leave_it_running(sshd: Sshd, start_link: StartLink) -> None:
    running = start_link(sshd.sidecar_config())
    async with running.link.hold(CommandRequest(argv=("cat",)), timeout=60, on_stderr=ignored) as held:
        (sshd.secret / "ssh-privatekey").write_bytes(sshd.client_key.export_private_key())
        # Processes would not tell: one that is to become a shell looks like a connection's for a moment.
        await eventually(lambda: sshd.log.read_text().count("Accepted publickey") == 2, "the second login")
        assert (await running.run("echo new")).stdout == b"new\n"
        await held.write(b"old\n")
        assert await held.read() == b"old\n"
        more = len(sshd.connection_processes())
    await eventually(lambda: len(sshd.connection_processes()) < more, "the end of the former connection")


async def test_another_target_ends_it_on_the_former_one(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    first, second = sshd_factory(), sshd_factory()
    running = start_link(first.sidecar_config())
    async with running.link.hold(sh("sleep 7200.1"), timeout=60, on_stderr=ignored) as held:
        await eventually(lambda: first.running("7200.1"), "the command")
        await running.link.reconfigure(second.sidecar_config())
        with pytest.raises(ConnectionLost, match="another host"):
            await held.read()
    assert not first.running("7200.1")


async def test_a_program_that_does_not_exist_ends_with_127(account_sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(account_sshd.sidecar_config()).link
    stderr = bytearray()
    request = CommandRequest(argv=("uvx-that-is-not-there", "mcp-hn"))
    async with link.hold(request, timeout=60, on_stderr=stderr.extend) as held:
        assert await held.read() == b""
        assert (await held.wait()).exit_code == 127
    assert b"uvx-that-is-not-there: not found" in stderr


async def test_a_directory_that_does_not_exist_is_said(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    request = CommandRequest(argv=("cat",), working_directory="/not/there")
    with pytest.raises(InvalidRequest, match="/not/there"):
        async with link.hold(request, timeout=60, on_stderr=ignored):
            pass


async def test_a_slow_login_shell_is_waited_for(sshd: Sshd, start_link: StartLink) -> None:
    programs = sshd.home / "programs"
    programs.mkdir()
    (programs / "serve-me").write_text("#!/bin/sh\ncat\n")
    (programs / "serve-me").chmod(0o755)
    (sshd.home / ".bashrc").write_text('case $- in *i*) ;; *) return;; esac\nsleep 3\nPATH="$HOME/programs:$PATH"\n')
    link = start_link(sshd.sidecar_config()).link
    async with link.hold(CommandRequest(argv=("serve-me",)), timeout=60, on_stderr=ignored) as held:
        await held.write(b"found\n")
        assert await held.read() == b"found\n"
        assert held.environment_known


async def test_many_do_not_keep_commands_from_running(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(options={"MaxSessions": "10"})
    running = start_link(server.sidecar_config(connection=Connection(max_connections=6)))
    ready: list[Held] = []
    enough = asyncio.Event()

    async def hold(link: Link, number: int) -> None:
        async with link.hold(CommandRequest(argv=("cat",)), timeout=60, on_stderr=ignored) as held:
            await held.write(b"%d\n" % number)
            assert await held.read() == b"%d\n" % number
            ready.append(held)
            await enough.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(hold(running.link, number))
        await eventually(lambda: len(ready) == 30, "all held commands")
        results = await asyncio.gather(*(running.run(f"echo {number}") for number in range(20)))
        assert [result.stdout for result in results] == [b"%d\n" % number for number in range(20)]
        async with running.link.sftp() as client:
            assert await client.exists(".")
        enough.set()
