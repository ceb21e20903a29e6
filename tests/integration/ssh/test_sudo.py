"""Commands as another account, with Debian's sudo and rules of the test's own."""

import asyncio
import time
from pathlib import Path

import pytest

from fairlead_sidecar.config import Connection, Environment, SecretValue, Variable
from fairlead_sidecar.errors import ConnectionLost, CredentialsInvalid, SudoFailed
from fairlead_sidecar.ssh.request import CommandRequest, RunAs, Script
from tests.integration.ssh.running import Ran, RunningLink, StartLink
from tests.integration.sshd import PASSWORD, Sshd, SshdFactory, eventually

ROOT = RunAs("root")
ASKED = RunAs("root", PASSWORD)


def sudo_sshd(factory: SshdFactory, tmp_path: Path, rule: str, *defaults: str) -> Sshd:
    """A server on whose host `deploy` may use sudo by this rule; the machine's own sudoers stay as they are."""
    sudoers = tmp_path / "sudoers"
    sudoers.write_text(
        "".join(f"Defaults {line}\n" for line in ("env_reset", *defaults)) + f"root ALL=(ALL) ALL\n{rule}\n"
    )
    sudoers.chmod(0o440)
    pam = tmp_path / "pam-sudo"
    pam.write_text("auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n")
    pam.chmod(0o644)
    return factory(
        username="deploy",
        password=True,
        mounts=(
            f"mount --bind {sudoers} /etc/sudoers",
            f"mount --bind {pam} /etc/pam.d/sudo",
            "mount -t tmpfs tmpfs /etc/sudoers.d",
            "mkdir -p /run/sudo && mount -t tmpfs tmpfs /run/sudo",
        ),
    )


FREE = "deploy ALL=(ALL) NOPASSWD: ALL"
BY_PASSWORD = "deploy ALL=(ALL) ALL"


@pytest.fixture(params=["plain", "use_pty", "password"])
def setup(request: pytest.FixtureRequest, sshd_factory: SshdFactory, tmp_path: Path) -> tuple[Sshd, RunAs]:
    """A server with sudo, and how to use it: without password, below a terminal of sudo's own, with password."""
    if request.param == "password":
        return sudo_sshd(sshd_factory, tmp_path, BY_PASSWORD), ASKED
    defaults = ("use_pty",) if request.param == "use_pty" else ()
    return sudo_sshd(sshd_factory, tmp_path, FREE, *defaults), ROOT


async def sudo(link: RunningLink, command: str, run_as: RunAs = ROOT, stdin: bytes = b"", timeout: float = 20) -> Ran:
    return await link.run(CommandRequest(command=command, run_as=run_as, stdin=stdin), timeout=timeout)


async def test_streams_exit_code_and_input_are_those_of_the_command(
    setup: tuple[Sshd, RunAs], start_link: StartLink
) -> None:
    server, run_as = setup
    link = start_link(server.sidecar_config())
    for _ in range(2):
        ran = await sudo(link, "id -un; echo problem >&2; cat; exit 7", run_as, stdin=b"input\n" * 20_000)
        assert (ran.exit_code, ran.stderr) == (7, b"problem\n")
        assert ran.stdout == b"root\n" + b"input\n" * 20_000
    assert (await sudo(link, "cat", run_as)).stdout == b""
    assert (await sudo(link, "kill -s KILL $$", run_as)).signal == "KILL"


async def test_words_and_scripts_run_as_the_other_account(setup: tuple[Sshd, RunAs], start_link: StartLink) -> None:
    server, run_as = setup
    link = start_link(server.sidecar_config())
    words = await link.run(CommandRequest(argv=("printf", "%s", "a 'b' $c"), run_as=run_as))
    assert words.stdout == b"a 'b' $c"
    script = Script(("python3",), b"import os, sys\nprint(os.getuid(), sys.argv[1], input())", arguments=("x y",))
    ran = await link.run(CommandRequest(script=script, run_as=run_as, stdin=b"line\n"))
    assert (ran.stdout, ran.exit_code) == (b"0 x y line\n", 0), ran.stderr


async def test_variables_and_directory_are_set_inside_and_show_nowhere(
    setup: tuple[Sshd, RunAs], start_link: StartLink, tmp_path: Path
) -> None:
    server, run_as = setup
    (tmp_path / "token").write_text("hush-4711")
    variable = Variable(name="TOKEN", secret=SecretValue(file=tmp_path / "token", name="app/token"))
    link = start_link(server.sidecar_config(environment=Environment(working_directory="/usr", variables=(variable,))))
    request = CommandRequest(
        command=f'echo "$TOKEN $CALL $PWD $HOME"; until [ -e {tmp_path}/go ]; do sleep 0.1; done',
        environment={"CALL": "hush-call"},
        run_as=run_as,
    )
    said: list[bytes] = []
    task = asyncio.create_task(link.run(request, also=lambda _, data: said.append(data)))
    await eventually(lambda: bool(said), "the command")
    assert not server.running("hush-")
    assert not server.running(PASSWORD)
    (tmp_path / "go").touch()
    assert (await task).stdout == b"hush-4711 hush-call /usr /root\n"


async def test_a_timeout_kills_what_runs_below_sudo(setup: tuple[Sshd, RunAs], start_link: StartLink) -> None:
    server, run_as = setup
    link = start_link(server.sidecar_config())
    await link.run("true")
    started = time.monotonic()
    command = "trap '' HUP; setsid -f sleep 99.1; (trap '' TERM; sleep 99.2; true) & sleep 99.3; true"
    ran = await sudo(link, command, run_as, timeout=3)
    assert ran.stopped == "timeout"
    assert time.monotonic() - started < 8
    assert not server.running("99.")


async def test_cancelling_kills_what_runs_below_sudo(setup: tuple[Sshd, RunAs], start_link: StartLink) -> None:
    server, run_as = setup
    link = start_link(server.sidecar_config())
    task = asyncio.create_task(sudo(link, "sleep 99.4; true", run_as))
    await eventually(lambda: server.running("99.4"), "the command")
    task.cancel()
    await eventually(lambda: not server.running("99.4"), "its end", seconds=10)


async def test_what_runs_below_sudo_is_killed_after_a_reconnect(
    setup: tuple[Sshd, RunAs], start_link: StartLink
) -> None:
    server, run_as = setup
    link = start_link(server.sidecar_config())
    await link.until_connected()
    task = asyncio.create_task(sudo(link, "trap '' HUP; sleep 99.5; true", run_as, timeout=60))
    await eventually(lambda: server.running("99.5"), "the command")
    server.drop_connections()
    with pytest.raises(ConnectionLost):
        await task
    await eventually(lambda: not server.running("99.5"), "the kill after the reconnect")


async def test_another_account_than_root_is_reached_and_killed(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sudo_sshd(sshd_factory, tmp_path, FREE)
    link = start_link(server.sidecar_config())
    assert (await sudo(link, "id -un", RunAs("nobody"))).stdout == b"nobody\n"
    assert (await sudo(link, "sleep 99.6; true", RunAs("nobody"), timeout=3)).stopped == "timeout"
    await eventually(lambda: not server.running("99.6"), "its end", seconds=10)


async def test_a_wrong_password_is_an_error_of_sudo_and_tried_once(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sudo_sshd(sshd_factory, tmp_path, BY_PASSWORD)
    link = start_link(server.sidecar_config())
    with pytest.raises(SudoFailed, match=r"as root: .*1 incorrect password attempt") as failure:
        await sudo(link, "touch /home/deploy/here", RunAs("root", "wrong-4711"))
    assert "4711" not in str(failure.value)
    assert not (server.home / "here").exists()
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_a_password_of_two_lines_is_refused_before_anything_runs(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sudo_sshd(sshd_factory, tmp_path, BY_PASSWORD)
    link = start_link(server.sidecar_config())
    with pytest.raises(CredentialsInvalid) as failure:
        await sudo(link, "id", RunAs("root", f"{PASSWORD}\n+touch /home/deploy/here"))
    assert PASSWORD not in str(failure.value)
    assert not (server.home / "here").exists()


async def test_sudo_that_would_ask_says_so(sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path) -> None:
    link = start_link(sudo_sshd(sshd_factory, tmp_path, BY_PASSWORD).sidecar_config())
    with pytest.raises(SudoFailed, match="password is required"):
        await sudo(link, "id")


async def test_an_account_that_may_not_use_sudo_is_told_so(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    link = start_link(sudo_sshd(sshd_factory, tmp_path, "").sidecar_config())
    with pytest.raises(SudoFailed, match="not in the sudoers file"):
        await sudo(link, "id", ASKED)


async def test_a_host_without_sudo_is_named(sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.touch()
    server = sshd_factory(username="deploy", mounts=(f"mount --bind {nothing} /usr/bin/sudo",))
    link = start_link(server.sidecar_config(connection=Connection()))
    with pytest.raises(SudoFailed, match="sudo"):
        await sudo(link, "id")
