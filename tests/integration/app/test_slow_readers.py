"""Clients that don't take what they asked for."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import uvloop

from fairlead_sidecar import http1
from fairlead_sidecar.sockets import listen
from tests.integration.app.endpoint import ACCEPT, PATH, RunningEndpoint, call, initialize, modern_headers, until
from tests.integration.sshd import PATIENCE_SECONDS

LONG = "head -c 900000 /dev/zero | tr '\\0' x"
"""A command whose output no kernel buffer takes."""


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[http1.BoundedHttp]:
    """The connections that were made to the sidecar."""
    made: list[http1.BoundedHttp] = []
    original = http1.BoundedHttp.connection_made

    def record(self: http1.BoundedHttp, transport: Any) -> None:
        made.append(self)
        original(self, transport)

    monkeypatch.setattr(http1.BoundedHttp, "connection_made", record)
    return made


@contextlib.asynccontextmanager
async def asking(
    endpoint: RunningEndpoint, message: dict[str, Any], headers: dict[str, str]
) -> AsyncIterator[socket.socket]:
    """A call on a connection that takes as little as possible by itself."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(endpoint.public.getsockname())
        client.setblocking(False)
        body = json.dumps(message).encode()
        names = endpoint.bearer() | ACCEPT | headers | {"Host": "x", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
        await asyncio.get_running_loop().sock_sendall(client, f"POST {PATH}/mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        yield client


def waiting(connections: list[http1.BoundedHttp]) -> int:
    return sum(not made.transport.is_closing() and made.transport.get_write_buffer_size() > 0 for made in connections)


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_client_that_never_reads_loses_its_connection_and_holds_nothing(
    endpoint: RunningEndpoint, connections: list[http1.BoundedHttp], monkeypatch: pytest.MonkeyPatch, era: str
) -> None:
    monkeypatch.setattr(http1, "STALLED_SECONDS", 2.0)
    message = call("execute_command", modern=era == "modern", command=LONG)
    async with endpoint.http() as http:
        headers = modern_headers(message) if era == "modern" else await initialize(http, endpoint.url)
        async with asking(endpoint, message, headers):
            await until(lambda: waiting(connections) == 1, "the answer to wait")
            await until(lambda: waiting(connections) == 0, "the connection to be closed")
        assert endpoint.audit("call")[-1]["outcome"] == "ok"
        answer = await http.post(
            endpoint.url,
            json=call("execute_command", command="echo on") | {"id": 7},
            headers=(headers if era == "handshake" else await initialize(http, endpoint.url)),
        )
        assert "on\\n" in answer.text


async def test_a_client_that_reads_slowly_gets_everything(
    endpoint: RunningEndpoint, connections: list[http1.BoundedHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "STALLED_SECONDS", 1.5)
    message = call("execute_command", modern=True, command=LONG)
    async with asking(endpoint, message, modern_headers(message)) as client:
        await until(lambda: waiting(connections) == 1, "the answer to wait")
        taken = 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        while taken < 900_000:
            # Half of it takes longer than a client may take nothing at all.
            await until(partial(_passed, began + 3.5 * taken / 900_000), "the client to be slow")
            data = await asyncio.wait_for(loop.sock_recv(client, 20_000), PATIENCE_SECONDS)
            assert data, f"closed after {taken} bytes"
            taken += len(data)


# In a handshake session the kernel has taken more of an answer by the time that its client is seen to be slow.
@pytest.mark.parametrize(("era", "total"), [("handshake", 1_250_000), ("modern", 2_500_000)])
async def test_too_much_that_waits_costs_the_client_that_was_slow_for_longest_its_connection(
    endpoint: RunningEndpoint,
    connections: list[http1.BoundedHttp],
    monkeypatch: pytest.MonkeyPatch,
    era: str,
    total: int,
) -> None:
    monkeypatch.setattr(http1, "TOTAL_UNSENT_BYTES", total)
    message = call("execute_command", modern=era == "modern", command=LONG)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(endpoint.http())
        headers = [
            modern_headers(message) if era == "modern" else await initialize(http, endpoint.url) for _ in range(4)
        ]
        connections.clear()
        for number in range(4):
            await stack.enter_async_context(asking(endpoint, message, headers[number]))
            await until(partial(_count, connections, number + 1), "the connection")
            await until(lambda: bool(connections) and _stalled(connections[-1]), "the answer to wait")
        assert connections[0].transport.is_closing()
        assert not connections[-1].transport.is_closing()
        # In a handshake session most of an answer is still to be handed to its connection, and counts all the same.
        held = sum(made.waiting for made in connections if not made.transport.is_closing())
        assert total / 2 < held <= total


def _passed(time: float) -> bool:
    return asyncio.get_running_loop().time() > time


def _count(connections: list[http1.BoundedHttp], wanted: int) -> bool:
    return len(connections) == wanted


def _stalled(made: http1.BoundedHttp) -> bool:
    return made._stalled_since is not None


@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_accepted_sockets_send_at_once_and_notice_clients_that_vanish(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """On the loop of the pod and on that of the tests."""
    found: dict[str, int] = {}

    async def main() -> None:
        accepted = asyncio.Event()

        class Look(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                server = transport.get_extra_info("socket")
                found["nodelay"] = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                found["user_timeout"] = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                transport.close()
                accepted.set()

        listening = listen("127.0.0.1", 0)
        async with await asyncio.get_running_loop().create_server(Look, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            await asyncio.wait_for(accepted.wait(), PATIENCE_SECONDS)
            writer.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert found == {"nodelay": 1, "user_timeout": 60_000}
