"""How little is sent for a command."""

import asyncio
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST

from fairlead_sidecar.ssh.lean import LeanConnection
from fairlead_sidecar.ssh.pool import BESIDE, WARM
from fairlead_sidecar.ssh.request import CommandRequest
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import SshdFactory, eventually


@pytest.fixture(autouse=True)
def one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look for what former sidecars left does not come into the way."""
    monkeypatch.setattr("fairlead_sidecar.ssh.runner.AGAIN_SECONDS", 3600.0)


class Watched:
    """What connections send: the type of each packet, and how many writes that takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packets: list[int] = []
        self.writes = 0
        send, write = asyncssh.SSHClientConnection.send_packet, LeanConnection._write

        def sent(connection: asyncssh.SSHClientConnection, pkttype: int, *args: bytes, **options: Any) -> None:
            self.packets.append(pkttype)
            send(connection, pkttype, *args, **options)

        def written(connection: LeanConnection, transport: asyncio.Transport) -> None:
            self.writes += 1
            write(connection, transport)

        monkeypatch.setattr(asyncssh.SSHClientConnection, "send_packet", sent)
        monkeypatch.setattr(LeanConnection, "_write", written)


async def test_a_command_that_finds_no_waiting_shell_is_three_packets(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead_sidecar.ssh.pool.WARM", 0)
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("true")
    await link.until_at_rest()
    watched = Watched(monkeypatch)
    await link.run("true")
    # A session, the request that holds the command, the session's end.
    await eventually(lambda: MSG_CHANNEL_CLOSE in watched.packets, "the end of the session")
    assert watched.packets == [MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST, MSG_CHANNEL_CLOSE]
    await link.stop()


async def test_a_session_with_what_it_is_to_read_is_asked_for_in_one_write(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead_sidecar.ssh.pool.WARM", 0)
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("true")
    await link.until_at_rest()
    watched = Watched(monkeypatch)
    await link.run(CommandRequest(command="cat", stdin=b"hello"))
    await eventually(lambda: MSG_CHANNEL_CLOSE in watched.packets, "the end of the session")
    assert watched.packets.count(MSG_CHANNEL_REQUEST) == 1
    assert watched.packets.count(MSG_CHANNEL_DATA) > 0
    # The session; the request and all input; the session's end.
    assert watched.writes == 3
    await link.stop()


async def test_a_shell_that_starts_ahead_of_need_is_told_nothing_before_its_command(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("true")
    await link.until_at_rest()
    watched = Watched(monkeypatch)
    await link.run("true")
    # The one that takes its place is there as soon as the request went out.
    await eventually(lambda: len(watched.packets) >= 4, "the next shell, and the end of the session")
    assert MSG_CHANNEL_REQUEST in watched.packets
    assert sorted(watched.packets) == [MSG_CHANNEL_OPEN, MSG_CHANNEL_DATA, MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST]
    await link.stop()


async def test_a_session_that_opens_while_a_command_waits_is_asked_for_that_command(
    sshd_factory: SshdFactory, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("true")
    await link.until_at_rest()
    watched = Watched(monkeypatch)
    # One more than there are shells that wait, and those that start beside that one.
    rans = await asyncio.gather(*[link.run(f"echo {number}") for number in range(WARM + 1 + BESIDE)])
    assert [ran.stdout for ran in rans] == [f"{number}\n".encode() for number in range(len(rans))]
    assert watched.packets.count(MSG_CHANNEL_DATA) == WARM
    await link.stop()
