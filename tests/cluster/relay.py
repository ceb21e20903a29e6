"""The way in: listens on this machine's loopback, connects inside the cluster's network namespace.

Run as a program: `relay.py NAMESPACE_FILE LISTEN_PORT=HOST:PORT ...`. A socket stays in the network namespace in
which it was made; so the program makes its listeners first and then moves into the other namespace for good, where it
connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from functools import partial
from pathlib import Path

from tests.cluster.namespaces import CLONE_NEWNET, join

_CHUNK = 1 << 16


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the stream, and pass the end on while the other direction stays open."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _relay(target: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join one accepted connection with a new one to the target; asyncio sets TCP_NODELAY on both."""
    with contextlib.closing(writer):
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*target)
        except OSError:
            return  # the target is down: the caller sees its connection closed
        with contextlib.closing(inner_writer):
            tasks = [
                asyncio.create_task(_pump(reader, inner_writer)),
                asyncio.create_task(_pump(inner_reader, writer)),
            ]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in pending:
                task.cancel()
            for task in done:
                task.exception()  # a reset by either side ends both connections; nobody is left to be told


async def serve(namespace: Path, routes: dict[int, tuple[str, int]]) -> None:
    """Relay each listening port on 127.0.0.1 to its host and port inside the namespace, until cancelled."""
    listeners = [(socket.create_server(("127.0.0.1", port)), target) for port, target in routes.items()]
    join(namespace, CLONE_NEWNET)
    # asyncio refers to its tasks weakly: without this, a relay whose one end has finished sending may be collected as
    # garbage, and its other end be closed in the middle of an answer.
    relays: set[asyncio.Task[None] | None] = set()

    async def accept(target: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        relays.add(relay)
        try:
            await _relay(target, reader, writer)
        finally:
            relays.discard(relay)

    async with contextlib.AsyncExitStack() as stack:
        for listener, target in listeners:
            server = await asyncio.start_server(partial(accept, target), sock=listener)
            await stack.enter_async_context(server)
        await asyncio.get_running_loop().create_future()


def _parse(route: str) -> tuple[int, tuple[str, int]]:
    listen, target = route.split("=")
    host, port = target.rsplit(":", 1)
    return int(listen), (host, int(port))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), dict(_parse(route) for route in sys.argv[2:])))
