"""What a host can make of a launcher, by whatever it answers on the channel."""

from typing import cast

import asyncssh
import pytest

from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.marker import instance_of, new_call_id
from fairlead_sidecar.ssh.program import compose, prompt, sudo_ready
from fairlead_sidecar.ssh.request import CommandRequest, RunAs
from fairlead_sidecar.ssh.result import Stream
from fairlead_sidecar.ssh.shells import LoginShell

SHELL = LoginShell("/bin/bash")
STDERR = asyncssh.EXTENDED_DATA_STDERR


class Channel:
    """Keeps what is sent; a host that answers just so at the right moment can't be had."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def write_eof(self) -> None:
        self.sent += b"<eof>"


async def begun() -> tuple[Launcher, Channel]:
    """A shell that was told to run a command with sudo and a password."""
    launcher = Launcher(
        new_call_id(instance_of("uid")), SHELL, on_open=lambda _: None, on_closed=lambda _: None, environment=""
    )
    channel = Channel()
    launcher.connection_made(cast("asyncssh.SSHClientChannel[bytes]", channel))
    request = CommandRequest(command="id", run_as=RunAs("root", "hush-4711"))

    def sink(_stream: Stream, _data: bytes) -> None:
        return

    launcher.begin(compose(request, SHELL, launcher.nonce), sink)
    return launcher, channel


@pytest.mark.parametrize(("sent", "shown"), [("TERM", "TERM"), ("\x1b[31mTERM", "unknown"), ("A" * 1000, "unknown")])
async def test_the_name_of_a_signal_is_one_whatever_the_host_sends(sent: str, shown: str) -> None:
    launcher, _ = await begun()
    launcher.eof_received()
    launcher.exit_signal_received(sent, False, "", "")
    assert launcher.signal == shown


async def test_the_password_is_given_to_the_first_question_only() -> None:
    launcher, channel = await begun()
    launcher.data_received(prompt(launcher.nonce), STDERR)
    launcher.data_received(prompt(launcher.nonce), STDERR)
    assert channel.sent.count(b"hush-4711") == 1


async def test_a_command_that_imitates_the_question_gets_no_password() -> None:
    launcher, channel = await begun()
    launcher.data_received(sudo_ready(launcher.nonce), None)
    launcher.data_received(f"{launcher.nonce} taken \n".encode() + prompt(launcher.nonce), STDERR)
    assert b"hush-4711" not in channel.sent


async def test_a_host_that_lets_the_shell_start_again_and_again_gets_the_command_once() -> None:
    launcher, channel = await begun()
    for _ in range(3):
        launcher.data_received(sudo_ready(launcher.nonce), None)
    assert channel.sent.count(b"exec /bin/bash -c id") == 1
