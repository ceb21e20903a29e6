"""The head of an answer goes out with its body, and never waits for one that does not come."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fairlead_sidecar.joined_writes import JoinedWrites

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[JoinedWrites, socket.socket]]:
    """One end as a transport, the other as it is; each packet is one `recv`."""
    mine, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    others.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=mine)
    with others:
        yield JoinedWrites(transport, loop), others
        transport.abort()


async def test_head_and_body_are_given_to_the_kernel_together() -> None:
    async with connection() as (transport, other):
        transport.write(HEAD)
        with pytest.raises(BlockingIOError):
            other.recv(100)
        transport.write(b"body")
        await asyncio.sleep(0)
        assert other.recv(100) == HEAD + b"body"


async def test_a_head_that_no_body_follows_goes_out_in_the_next_turn() -> None:
    async with connection() as (transport, other):
        transport.write(HEAD)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert other.recv(100) == HEAD
        transport.write(b"event")
        transport.write(b"event")
        await asyncio.sleep(0)
        assert other.recv(100) == b"eventevent"


async def test_a_head_goes_out_before_the_connection_is_closed() -> None:
    async with connection() as (transport, other):
        transport.write(HEAD)
        transport.close()
        await asyncio.sleep(0.01)
        assert other.recv(100) == HEAD
        assert other.recv(100) == b""


async def test_a_head_is_dropped_with_a_connection_that_is_aborted() -> None:
    async with connection() as (transport, other):
        transport.write(HEAD)
        transport.abort()
        await asyncio.sleep(0.01)
        assert other.recv(100) == b""
