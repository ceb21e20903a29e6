"""What is sent to the host: checked here for form, at work in the integration tests."""

import shlex
import subprocess

import pytest

from fairlead_sidecar.ssh.kill import kill_script
from fairlead_sidecar.ssh.launcher import Launcher, RemoteProcess

PROCESS = RemoteProcess(group=1234, nonce="ab" * 16, boot_id="boot", start_time="777")


@pytest.fixture
def launched() -> Launcher:
    return Launcher(lambda _: None)


def test_the_launcher_is_one_line_that_every_shell_quotes_alike(launched: Launcher) -> None:
    line = launched.command_line
    script = line.removeprefix("exec sh -c ").strip("'")
    assert not set("\n!'") & set(script)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_the_scripts_parse(shell: str, launched: Launcher) -> None:
    for text in (
        launched.command_line,
        kill_script(PROCESS, reconnected=False),
        kill_script(PROCESS, reconnected=True),
    ):
        inner = shlex.split(text)[3]
        subprocess.run([shell, "-n", "-c", inner], check=True)


def test_each_launcher_has_a_marker_of_its_own(launched: Launcher) -> None:
    assert launched.command_line != Launcher(lambda _: None).command_line


def test_a_process_group_is_killed_by_number_only_while_that_is_surely_its_own() -> None:
    assert "g=1234;" in kill_script(PROCESS, reconnected=False)
    assert '"777"' not in kill_script(PROCESS, reconnected=False)
    assert '"777"' in kill_script(PROCESS, reconnected=True)
    unknown = RemoteProcess(group=1234, nonce="ab" * 16, boot_id="", start_time="")
    assert "g=1234; m=FAIRLEAD_CALL_ID=" + "ab" * 16 + "; g=; " in kill_script(unknown, reconnected=True)
