"""TCP connections through the link, to where the host can reach."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import asyncssh
import pytest

from fairlead_sidecar.config import Connection
from fairlead_sidecar.errors import ConnectionLost, LinkError
from fairlead_sidecar.upstream.errors import ForwardingRefused, NotListening
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import PATIENCE_SECONDS, Sshd, SshdFactory, eventually, free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"bye")
    writer.close()


@asynccontextmanager
async def listening(handler: Handler = echo) -> AsyncIterator[int]:
    writers: list[asyncio.StreamWriter] = []

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            await handler(reader, writer)

    server = await asyncio.start_server(noted, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def receive_all(stream: anyio.abc.ByteStream) -> bytes:
    return b"".join([piece async for piece in stream])


async def test_bytes_go_to_a_port_of_the_host_and_back(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    sent = bytes(range(256)) * 40_000
    async with listening() as port, await link.open_connection("127.0.0.1", port) as stream:

        async def send() -> None:
            await stream.send(sent)
            await stream.send_eof()

        _, received = await asyncio.gather(send(), receive_all(stream))
    assert received == sent


async def test_a_server_that_hangs_up_ends_the_stream(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with listening(hang_up) as port:
        stream = await link.open_connection("127.0.0.1", port)
        await eventually(lambda: stream.readable, "what the server said")
        assert await receive_all(stream) == b"bye"
        assert stream.readable
        assert stream.lost is None
        await stream.aclose()


async def test_a_port_without_a_listener_has_a_name(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(NotListening, match=r"can't connect to 127\.0\.0\.1:\d+: «Connection refused»"):
        await link.open_connection("127.0.0.1", free_port())


@pytest.mark.parametrize("option", [{"AllowTcpForwarding": "no"}, {"PermitOpen": "127.0.0.1:9"}])
async def test_a_server_that_forbids_forwarding_has_a_name(
    option: dict[str, str], sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    link = start_link(sshd_factory(options=option).sidecar_config()).link
    async with listening() as port:
        with pytest.raises(ForwardingRefused, match=f"does not let connections to 127.0.0.1:{port} through"):
            await link.open_connection("127.0.0.1", port)


async def test_without_a_link_there_is_no_connection(sshd: Sshd, start_link: StartLink, usual_calls: None) -> None:
    sshd.stop()
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(LinkError):
        await link.open_connection("127.0.0.1", 9)


async def test_a_lost_link_ends_the_streams(sshd: Sshd, start_link: StartLink, quick_keepalive: Connection) -> None:
    running = start_link(sshd.sidecar_config(connection=quick_keepalive))
    async with listening() as port:
        stream = await running.link.open_connection("127.0.0.1", port)
        await stream.send(b"x")
        assert await stream.receive() == b"x"
        sshd.stop()
        with pytest.raises(anyio.BrokenResourceError) as raised:
            await stream.receive()
        assert isinstance(raised.value.__cause__, ConnectionLost)
        assert isinstance(stream.lost, ConnectionLost)
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"y")


async def test_what_nobody_reads_stays_with_its_sender(sshd: Sshd, start_link: StartLink) -> None:
    written = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        while written < 200_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    link = start_link(sshd.sidecar_config()).link
    async with listening(flood) as port:
        stream = await link.open_connection("127.0.0.1", port)
        await eventually(lambda: written > 1_000_000, "the flood")
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.5)
        # Sockets and sshd hold some megabytes themselves.
        assert written < 20_000_000
        for _ in range(50):
            await stream.receive()
        await stream.aclose()


async def test_an_ssh_server_is_reached_through_the_link(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    outer, inner = sshd_factory(), sshd_factory(username="deploy")
    link = start_link(outer.sidecar_config()).link
    async with asyncssh.connect(
        inner.address,
        inner.port,
        tunnel=link.tunnel,
        username="deploy",
        client_keys=[inner.client_key],
        known_hosts=([asyncssh.import_public_key(inner.host_key)], [], []),
        config=None,
        agent_path=None,
    ) as connection:
        assert (await connection.run("whoami")).stdout == "deploy\n"
        ends = connection.wait_closed()
        outer.stop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ends


async def test_a_nested_ssh_server_that_does_not_listen_has_a_name(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(NotListening):
        await asyncssh.connect("127.0.0.1", free_port(), tunnel=link.tunnel, known_hosts=([], [], []), config=None)


async def test_a_connection_that_is_given_up_while_it_opens_is_closed(sshd: Sshd, start_link: StartLink) -> None:
    accepted, ended = 0, 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted, ended
        accepted += 1
        await reader.read()
        ended += 1
        writer.close()

    running = start_link(sshd.sidecar_config())
    await running.until_connected()
    async with listening(count) as port:
        opening = asyncio.create_task(running.link.open_connection("127.0.0.1", port))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        assert opening.cancelled()
        await eventually(lambda: (accepted, ended) == (1, 1), "the end of the connection that nobody wanted")


async def test_another_target_ends_the_streams_to_the_former_one(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    first, second = sshd_factory(), sshd_factory()
    running = start_link(first.sidecar_config())
    async with listening() as port:
        stream = await running.link.open_connection("127.0.0.1", port)
        config = second.sidecar_config()
        await running.link.reconfigure(config)
        with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(PATIENCE_SECONDS):
            await stream.receive()
