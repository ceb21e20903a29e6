"""MCP servers that are SSH servers of their own, behind the link."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fairlead_sidecar.config import AuthorityHostKeys, Connection, PinnedHostKeys, SecretFiles, SshServer, Target
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.upstream.errors import (
    AuthenticationFailed,
    Exited,
    ForwardingRefused,
    HostKeyMismatch,
    LinkDown,
    NotListening,
    NotResponding,
    ProtocolError,
    SecretNotFound,
)
from fairlead_sidecar.upstream.nested_ssh import ssh_wire
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually, free_port
from tests.integration.upstream.http_servers import accepting
from tests.integration.upstream.local_wire import call, text

DIFFICULT = Path(__file__).parents[2] / "upstreams" / "difficult.py"
COMMAND = f"/usr/bin/python3 {DIFFICULT}"


def behind(sshd: Sshd, **changes: Any) -> SshServer:
    """An account on a second SSH server whose command speaks MCP."""
    fields: dict[str, Any] = {
        "target": Target(address=sshd.address, port=sshd.port, username=sshd.username),
        "auth": SecretFiles(directory=sshd.secret, secret_name="workshop-ssh"),
        "host_key": PinnedHostKeys(public_keys=(sshd.host_key,)),
        "command": COMMAND,
    }
    return SshServer(**{**fields, **changes})


@asynccontextmanager
async def session_with(link: Link, server: SshServer, **settings: Any) -> AsyncIterator[UpstreamSession]:
    open_wire = ssh_wire(server, link.tunnel, name="workshop", settings=Connection(**settings))
    async with open_session(open_wire, Setup(server="workshop", start_timeout=60)) as session:
        yield session


async def test_a_command_of_another_ssh_server_is_called(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    host, inner = sshd_factory(), sshd_factory()
    async with session_with(start_link(host.sidecar_config()).link, behind(inner)) as session:
        assert text(await session.request("tools/call", call("echo", text="hi"))) == "hi"
    await eventually(lambda: not inner.running("difficult.py"), "the end of the server")


async def test_a_host_key_of_an_authority_is_trusted(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    host, inner = sshd_factory(), sshd_factory(host_authority=authority)
    trust = AuthorityHostKeys(public_keys=(authority.export_public_key().decode(),))
    async with session_with(start_link(host.sidecar_config()).link, behind(inner, host_key=trust)) as session:
        assert text(await session.request("tools/call", call("echo", text="hi"))) == "hi"


async def test_another_host_key_is_refused_with_both_fingerprints(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    host, inner = sshd_factory(), sshd_factory()
    trust = PinnedHostKeys(public_keys=(host.host_key,))
    with pytest.raises(HostKeyMismatch) as raised:
        async with session_with(start_link(host.sidecar_config()).link, behind(inner, host_key=trust)):
            pass
    assert inner.fingerprint in raised.value.message
    assert host.fingerprint in raised.value.message


async def test_another_key_is_refused_with_its_secret_named(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    host, inner = sshd_factory(), sshd_factory()
    auth = SecretFiles(directory=host.secret, secret_name="workshop-ssh")
    with pytest.raises(AuthenticationFailed, match="Secret workshop-ssh"):
        async with session_with(start_link(host.sidecar_config()).link, behind(inner, auth=auth)):
            pass


async def test_a_secret_that_is_not_there_is_named(sshd: Sshd, start_link: StartLink, tmp_path: Path) -> None:
    auth = SecretFiles(directory=tmp_path / "none", secret_name="workshop-ssh")
    with pytest.raises(SecretNotFound, match="workshop-ssh"):
        async with session_with(start_link(sshd.sidecar_config()).link, behind(sshd, auth=auth)):
            pass


async def test_nothing_listens(sshd: Sshd, start_link: StartLink) -> None:
    port = free_port()
    target = Target(address="127.0.0.1", port=port, username="mcp")
    with pytest.raises(NotListening, match=f"127.0.0.1:{port}"):
        async with session_with(start_link(sshd.sidecar_config()).link, behind(sshd, target=target)):
            pass


async def test_what_does_not_answer_is_given_up(sshd: Sshd, start_link: StartLink) -> None:
    running = start_link(sshd.sidecar_config())
    await running.until_connected()
    async with accepting() as port:
        target = Target(address="127.0.0.1", port=port, username="mcp")
        with pytest.raises(NotResponding, match="sent no SSH greeting within 1 s"):
            async with session_with(running.link, behind(sshd, target=target), connect_timeout=1.0):
                pass


async def test_the_hosts_sshd_does_not_allow_it(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    host, inner = sshd_factory(options={"AllowTcpForwarding": "no"}), sshd_factory()
    with pytest.raises(ForwardingRefused):
        async with session_with(start_link(host.sidecar_config()).link, behind(inner)):
            pass


async def test_a_link_that_is_lost_ends_the_call_with_its_name(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    host, inner = sshd_factory(), sshd_factory()
    async with session_with(start_link(host.sidecar_config()).link, behind(inner)) as session:
        waiting = asyncio.create_task(session.request("tools/call", call("sleep", seconds=300)))
        await asyncio.sleep(0.2)
        host.drop_connections()
        with pytest.raises(LinkDown):
            await waiting
    await eventually(lambda: not inner.running("difficult.py"), "the end of the server")


async def test_a_server_that_drops_the_connection_is_not_taken_for_the_link(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    host, inner = sshd_factory(), sshd_factory()
    async with session_with(start_link(host.sidecar_config()).link, behind(inner)) as session:
        waiting = asyncio.create_task(session.request("tools/call", call("sleep", seconds=300)))
        await asyncio.sleep(0.2)
        inner.drop_connections()
        with pytest.raises(Exited, match=f"127.0.0.1:{inner.port} closed the connection"):
            await waiting


async def test_a_command_that_ends_is_told_with_its_exit_code_and_last_words(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    host, inner = sshd_factory(), sshd_factory()
    wire = ssh_wire(
        behind(inner, command="echo no database >&2; exit 3"),
        start_link(host.sidecar_config()).link.tunnel,
        name="workshop",
        settings=Connection(),
    )
    async with wire() as opened:
        assert [item async for item in opened.read] == []
        fault = opened.fault()
    assert isinstance(fault, Exited)
    assert "exit code 3" in fault.message
    assert "no database" in fault.message


async def test_compression_is_never_agreed_on(sshd: Sshd, start_link: StartLink) -> None:
    # A packet of a server that means harm would become a thousand times as long. Which end says so first is open.
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], compression_algs=["zlib@openssh.com"], authorized_client_keys=[]
    )
    async with server:
        trust = PinnedHostKeys(public_keys=(key.export_public_key().decode(),))
        target = Target(address="127.0.0.1", port=server.get_port(), username="mcp")
        with pytest.raises((ProtocolError, NotResponding)):
            async with session_with(
                start_link(sshd.sidecar_config()).link, behind(sshd, target=target, host_key=trust)
            ):
                pass


async def test_a_signals_name_is_quoted(sshd: Sshd, start_link: StartLink) -> None:
    def end(process: asyncssh.SSHServerProcess[str]) -> None:
        process.exit_with_signal("\x1b[31mRED")

    key = asyncssh.generate_private_key("ssh-ed25519")

    class Open(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Open, process_factory=end)
    async with server:
        trust = PinnedHostKeys(public_keys=(key.export_public_key().decode(),))
        target = Target(address="127.0.0.1", port=server.get_port(), username="mcp")
        inner = behind(sshd, target=target, host_key=trust)
        link = start_link(sshd.sidecar_config()).link
        async with ssh_wire(inner, link.tunnel, name="workshop", settings=Connection())() as wire:
            assert [item async for item in wire.read] == []
            fault = wire.fault()
    assert fault is not None
    assert "signal «\\x1b[31mRED»" in fault.message
