"""A host that is far away: a TCP proxy that holds every byte for a while, with as much throughput as the machine has.

async with delaying(sshd.address, sshd.port, seconds=0.025) as port:     # a round trip takes 50 ms
    ...
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

CHUNK_BYTES = 256 * 1024


@contextlib.asynccontextmanager
async def delaying(address: str, port: int, *, seconds: float) -> AsyncIterator[int]:
    """The port of 127.0.0.1 behind which the server is `seconds` away in each direction."""

    connections: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        server, to_server = await asyncio.open_connection(address, port)
        for writer in (to_client, to_server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(client, to_server, seconds))
                both.create_task(_carry(server, to_client, seconds))
        except* OSError:
            pass
        finally:
            to_client.close()
            to_server.close()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(proxy.sockets[0].getsockname()[1])
    finally:
        proxy.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, to: asyncio.StreamWriter, seconds: float) -> None:
    """One direction: read at once, write when the time has come, also the end."""
    now = asyncio.get_running_loop().time
    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        while data := await source.read(CHUNK_BYTES):
            held.put_nowait((now() + seconds, data))
        held.put_nowait((now() + seconds, b""))

    async def write() -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(due - now())
            if not data:
                to.write_eof()
                return
            to.write(data)
            await to.drain()

    async with asyncio.TaskGroup() as both:
        both.create_task(read())
        both.create_task(write())
