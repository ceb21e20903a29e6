"""A link with a long way: a TCP proxy that delays each direction without limiting how much is under way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_PIECE = 256 * 1024


@contextlib.asynccontextmanager
async def delayed(port: int, *, seconds: float) -> AsyncIterator[int]:
    """A port of 127.0.0.1 that leads to another one, with `seconds` of delay in each direction."""
    tasks: set[asyncio.Task[None]] = set()

    def spawn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        for work in (_take(reader, queue, seconds), _give(writer, queue)):
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        spawn(reader, behind_writer)
        spawn(behind_reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _take(reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    data = b"-"
    while data:
        try:
            data = await reader.read(_PIECE)
        except ConnectionError:
            data = b""
        queue.put_nowait((loop.time() + seconds, data))


async def _give(writer: asyncio.StreamWriter, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
    loop = asyncio.get_running_loop()
    try:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                return
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
    finally:
        writer.close()
