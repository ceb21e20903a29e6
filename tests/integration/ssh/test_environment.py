"""Commands find what a person finds in a terminal, and what the configuration adds; none of it shows on the host."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from fairlead_sidecar.config import Environment, SecretValue, Variable
from fairlead_sidecar.errors import CredentialsInvalid, CredentialsNotFound, InvalidRequest, ProtocolFailure
from fairlead_sidecar.ssh import pool
from fairlead_sidecar.ssh.request import CommandRequest
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import PATIENCE_SECONDS, Sshd, SshdFactory, eventually

GUARDED = """\
# If not running interactively, don't do anything
case $- in *i*) ;; *) return;; esac
echo welcome; echo problem >&2
export NVM_DIR="$HOME/.nvm"
export PATH="$NVM_DIR/bin:$PATH"
export ODD='two
lines  and '\\''quotes'\\'' $HOME ä'
"""

FACTS_SECONDS = pool.FACTS_SECONDS


@pytest.fixture(autouse=True)
def patient_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first commands wait for the environment: here for as long as a slow machine needs for it."""
    monkeypatch.setattr(pool, "FACTS_SECONDS", PATIENCE_SECONDS)


def with_node(server: Sshd) -> None:
    (server.home / ".bashrc").write_text(GUARDED)
    (server.home / ".profile").write_text('[ -n "$BASH_VERSION" ] && . "$HOME/.bashrc"\nexport FROM_PROFILE=1\n')
    node = server.home / ".nvm" / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.write_text("#!/bin/sh\necho v22.0.0\n")
    node.chmod(0o755)


async def test_what_a_guarded_bashrc_sets_is_there(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy")
    with_node(server)
    link = start_link(server.sidecar_config())
    for command in ("node --version", "node --version; true"):
        ran = await link.run(command)
        assert (ran.stdout, ran.stderr, ran.exit_code) == (b"v22.0.0\n", b"", 0)
    assert (await link.run('printf %s "$ODD"')).stdout.decode() == "two\nlines  and 'quotes' $HOME ä"
    assert (await link.run("echo $FROM_PROFILE $SHLVL")).stdout == b"1 2\n"
    burst = await asyncio.gather(*(link.run("node --version") for _ in range(12)))
    assert {ran.stdout for ran in burst} == {b"v22.0.0\n"}


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/dash"])
async def test_other_shells_are_asked_in_their_own_way(
    sshd_factory: SshdFactory, start_link: StartLink, shell: str
) -> None:
    server = sshd_factory(username="deploy", shell=shell)
    (server.home / ".profile").write_text("export FROM_PROFILE=yes\n")
    link = start_link(server.sidecar_config())
    assert (await link.run("printenv FROM_PROFILE")).stdout == b"yes\n"


async def test_start_up_files_that_never_end_hold_commands_only_for_a_moment(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FACTS_SECONDS", FACTS_SECONDS)
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text("case $- in *i*) sleep 97.5;; esac\n")
    link = start_link(server.sidecar_config())
    ran = await asyncio.wait_for(link.run("echo ok"), 20)
    assert ran.stdout == b"ok\n"
    await eventually(lambda: not server.running("97.5"), "the end of the start-up files")
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_the_environment_is_asked_for_again_on_reconnect(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())
    assert (await link.run("printenv COLOUR")).exit_code == 1
    (server.home / ".bashrc").write_text("case $- in *i*) export COLOUR=green;; esac\n")
    (server.home / ".profile").write_text(". ~/.bashrc\n")
    server.drop_connections()
    await link.until_reason("ConnectionLost")
    assert (await link.run("printenv COLOUR")).stdout == b"green\n"


def configured(server: Sshd, secret: Path, directory: str | None = None) -> Environment:
    return Environment(
        working_directory=directory,
        variables=(
            Variable(name="PLAIN", value="it's 'plain'"),
            Variable(name="TOKEN", secret=SecretValue(file=secret, name="app/token")),
        ),
    )


def shows_anywhere(text: bytes) -> bool:
    """Whether any process of this machine has it in its command line."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text in cmdline.read_bytes():
                return True
    return False


async def test_configured_variables_and_those_of_the_call_are_set_and_show_nowhere(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sshd_factory(username="deploy")
    secret = tmp_path / "token"
    secret.write_text("hush-4711-configured")
    link = start_link(server.sidecar_config(environment=configured(server, secret)))
    seen = await link.run('printf "%s|%s" "$PLAIN" "$TOKEN"')
    assert seen.stdout == b"it's 'plain'|hush-4711-configured"
    request = CommandRequest(
        command='echo "$CALL" "$TOKEN"; while [ ! -e gate ]; do sleep 0.05; done', environment={"CALL": "hush-of-call"}
    )
    for _ in range(2):
        task = asyncio.create_task(link.run(request))
        await eventually(lambda: server.running("gate"), "the command to run")
        assert not shows_anywhere(b"hush-")
        (server.home / "gate").touch()
        assert (await task).stdout == b"hush-of-call hush-4711-configured\n"
        (server.home / "gate").unlink()
    assert (await link.run("printenv CALL")).exit_code == 1


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
async def test_a_secret_that_no_variable_can_hold_is_named_and_shown_nowhere(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path, shell: str
) -> None:
    server = sshd_factory(username="deploy", shell=shell)
    secret = tmp_path / "token"
    secret.write_bytes(b"hush\0-4711")
    link = start_link(server.sidecar_config(environment=configured(server, secret)))
    for _ in range(2):
        with pytest.raises(CredentialsInvalid, match="app/token holds a NUL") as failure:
            await link.run("touch here")
        assert "4711" not in str(failure.value)
    assert not (server.home / "here").exists()
    secret.write_text("hush-4712")
    assert (await link.run("printenv TOKEN")).stdout == b"hush-4712\n"


@pytest.mark.parametrize("command", ["touch here", "touch here; true", "echo ok"])
async def test_another_shell_that_start_up_files_put_in_place_takes_no_command(
    sshd_factory: SshdFactory, start_link: StartLink, command: str
) -> None:
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text("exec dash\n")
    link = start_link(server.sidecar_config())
    with pytest.raises(ProtocolFailure, match="runs no commands"):
        await link.run(command)
    assert not (server.home / "here").exists()


async def test_start_up_files_that_trace_show_nothing_of_what_is_set(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sshd_factory(username="deploy")
    (server.home / ".bashrc").write_text("set -vx\n")
    secret = tmp_path / "token"
    secret.write_text("hush-4711")
    link = start_link(server.sidecar_config(environment=configured(server, secret)))
    for command in ("echo ok", "id -un; true", "cat </dev/null"):
        for _ in range(2):
            ran = await link.run(CommandRequest(command=command, environment={"CALL": "hush-call"}))
            assert (command, ran.stderr, ran.exit_code) == (command, b"", 0)


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
async def test_a_call_cant_set_what_belongs_to_the_shell_or_marks_the_command(
    sshd_factory: SshdFactory, start_link: StartLink, shell: str
) -> None:
    link = start_link(sshd_factory(username="deploy", shell=shell).sidecar_config())
    for name in ("UID", "OPTIND", "fl_stat", "FAIRLEAD_CALL_ID"):
        with pytest.raises(InvalidRequest, match=name):
            await link.run(CommandRequest(command="true", environment={name: "x"}))
    assert (await link.run(CommandRequest(command="true", environment={"UIDS": "x"}))).stderr == b""


async def test_a_missing_secret_is_named_and_nothing_runs(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config(environment=configured(server, tmp_path / "absent")))
    with pytest.raises(CredentialsNotFound, match="The variable TOKEN has no value: Secret app/token is missing"):
        await link.run("touch here")
    assert not (server.home / "here").exists()
    for value in ("there now", "rotated"):
        (tmp_path / "new").write_text(value)
        (tmp_path / "new").rename(tmp_path / "absent")
        for _ in range(4):
            assert (await link.run("printenv TOKEN")).stdout == f"{value}\n".encode()


async def test_new_variables_take_effect_at_once(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sshd_factory(username="deploy")
    config = server.sidecar_config()
    link = start_link(config)
    await link.run("true")
    new = Environment(variables=(Variable(name="PLAIN", value="new"),))
    await link.link.reconfigure(config.model_copy(update={"environment": new}))
    assert (await link.run("printenv PLAIN")).stdout == b"new\n"
    assert link.counts.connected == [True]


async def test_the_working_directory_is_the_calls_or_the_configured_one(
    sshd_factory: SshdFactory, start_link: StartLink, tmp_path: Path
) -> None:
    server = sshd_factory(username="deploy")
    (server.home / "a dir").mkdir()
    link = start_link(server.sidecar_config(environment=Environment(working_directory="/usr")))
    assert (await link.run("pwd")).stdout == b"/usr\n"
    assert (await link.run(CommandRequest(argv=("pwd",), working_directory="/var"))).stdout == b"/var\n"
    home = start_link(server.sidecar_config())
    assert (await home.run(CommandRequest(command="pwd", working_directory="a dir"))).stdout.endswith(b"/a dir\n")


async def test_a_missing_working_directory_is_an_error_and_nothing_runs(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy")
    link = start_link(server.sidecar_config())
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"'/no/such' can't be entered: No such file"):
            await link.run(CommandRequest(command="touch ~/here", working_directory="/no/such"))
    assert not (server.home / "here").exists()


@pytest.fixture
async def link(sshd_factory: SshdFactory, start_link: StartLink) -> RunningLink:
    return start_link(sshd_factory(username="deploy").sidecar_config())


async def test_names_and_words_that_no_shell_takes_are_refused(link: RunningLink) -> None:
    for request in (
        CommandRequest(command="true", environment={"A B": "1"}),
        CommandRequest(command="true", environment={"A": "x\0"}),
        CommandRequest(argv=()),
        CommandRequest(argv=("-x",)),
        CommandRequest(argv=("a", "b\0")),
    ):
        with pytest.raises(InvalidRequest):
            await link.run(request)
