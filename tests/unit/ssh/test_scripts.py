"""What is sent to the host: checked here for form, at work in the integration tests."""

import shlex
import subprocess

import pytest

from fairlead_sidecar.ssh.environment import capture_script, parse_capture
from fairlead_sidecar.ssh.kill import kill_script
from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.marker import RemoteProcess, instance_of, new_call_id
from fairlead_sidecar.ssh.program import compose
from fairlead_sidecar.ssh.request import CommandRequest, RunAs, Script
from fairlead_sidecar.ssh.shells import LoginShell

PROCESS = RemoteProcess(group=1234, call_id="host.pod." + "ab" * 12, boot_id="boot", start_time="777")


def launcher(shell: str | None = None) -> Launcher:
    return Launcher(
        new_call_id(instance_of("uid")),
        None if shell is None else LoginShell(shell),
        on_open=lambda _: None,
        on_closed=lambda _: None,
    )


@pytest.mark.parametrize("shell", [None, "/usr/bin/fish", "/bin/tcsh"])
def test_where_the_shell_is_foreign_the_launcher_is_one_line_that_every_shell_quotes_alike(shell: str | None) -> None:
    script = launcher(shell).command_line.removeprefix("exec sh -c ").strip("'")
    assert not set("\n!'") & set(script)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_the_scripts_parse(shell: str) -> None:
    requests = (
        CommandRequest(command="a 'b'\nc", environment={"A": "it's"}, working_directory="-"),
        CommandRequest(argv=("a", "it's")),
        CommandRequest(script=Script(("python3",), b"print('''x''')")),
        CommandRequest(command="a", run_as=RunAs("root", "secret")),
    )
    for text in (
        shlex.split(launcher().command_line)[3],
        kill_script(PROCESS, reconnected=False),
        kill_script(PROCESS, reconnected=True),
        capture_script("abc"),
        *(compose(request, LoginShell("/bin/bash"), "abc").text.decode() for request in requests),
    ):
        subprocess.run([shell, "-n", "-c", text], check=True)


def test_each_launcher_has_a_marker_of_its_own() -> None:
    assert launcher().command_line != launcher().command_line


def test_a_process_group_is_killed_by_number_only_while_that_is_surely_its_own() -> None:
    assert "g=1234;" in kill_script(PROCESS, reconnected=False)
    assert '"777"' not in kill_script(PROCESS, reconnected=False)
    assert '"777"' in kill_script(PROCESS, reconnected=True)
    unknown = RemoteProcess(group=1234, call_id=PROCESS.call_id)
    assert f"g=1234; m=FAIRLEAD_CALL_ID={PROCESS.call_id}.; g=; " in kill_script(unknown, reconnected=True)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("ls -l /srv", "ls"),
        (" git log --format='%h %s' -- \"a b\"\n", "git"),
        ("/opt/app/run --level=3", "/opt/app/run"),
        ("./run --level=3", None),
        ("bin/run", None),
        ("echo x", None),
        ("cd /srv", None),
        ("FOO=1 make", None),
        ("ls *.py", None),
        ("ls; id", None),
        ("ls\nid", None),
        ("ls $HOME", None),
        ("ls ~", None),
        ("ls 'open", None),
        ('grep "$x" f', None),
        ('grep "a`b`" f', None),
        ("sleep 1 &", None),
        ("ls >f", None),
        ("ls # all", None),
        ("-x", None),
        (". profile", None),
        ("mine x", None),
        ("ls {a,b}", None),
        ("", None),
    ],
)
def test_only_a_plain_command_line_is_started_without_a_further_shell(command: str, program: str | None) -> None:
    assert LoginShell("/bin/bash", frozenset({"mine"})).program(command) == program
    assert LoginShell("/usr/bin/zsh").program(command) is None
    assert LoginShell("/bin/dash").program(command) is None


def test_a_capture_is_understood_as_far_as_it_came() -> None:
    nonce = "0123456789ab"
    boot = f"{'1' * 8}-2222-2222-2222-{'3' * 12}"
    head = f"/bin/bash\0{boot}\n{nonce}f g\n{nonce}MORE=xx\0{nonce}"
    plain = f"PATH=/bin\0HOME=/h\0GONE=1\0MORE=x\0{nonce}"
    person = f"Welcome!\n{nonce}\nPATH=/nvm:/bin\0HOME=/h\0NVM_DIR=/n\nx\0MORE=xx\0SHLVL=1\0{nonce}"
    whole = parse_capture((head + plain + person).encode(), nonce)
    assert whole.captured
    assert whole.shell == LoginShell("/bin/bash", frozenset({"f", "g"}))
    assert (dict(whole.set), whole.unset) == ({"PATH": "/nvm:/bin", "NVM_DIR": "/n\nx"}, ("GONE",))
    assert whole.boot_id == boot
    part = parse_capture((head + plain + "Welcome!").encode(), nonce)
    assert (part.shell, part.captured, dict(part.set)) == (whole.shell, False, {})
    assert parse_capture(b"This account is not available.", nonce).shell is None
