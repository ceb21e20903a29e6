"""Requests on a pipe, and the answers that belong to them."""

import asyncio
import json
from typing import Any

import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, JSONRPCResponse

from fairlead_sidecar.ssh.result import CommandEnd
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.line_wire import StdioWire
from fairlead_sidecar.upstream.stderr import StandardError


class Program:
    """What a server would write, and what it was told."""

    environment_known = True

    def __init__(self) -> None:
        self.output: asyncio.Queue[bytes] = asyncio.Queue()
        self.told: list[dict[str, Any]] = []

    def says(self, **message: Any) -> None:
        self.output.put_nowait(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def read(self) -> bytes:
        return await self.output.get()

    async def write(self, data: bytes) -> None:
        self.told.append(json.loads(data))

    def close_stdin(self) -> None: ...

    async def wait(self) -> CommandEnd:
        return CommandEnd(0, None, 0.0, None)


def wire(program: Program) -> StdioWire:
    return StdioWire("server", program, StandardError("server", Redactor()), Redactor())


def request(number: int) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=number, method="tools/call", params={"name": "a"})


async def test_each_request_gets_its_own_answer_and_all_else_goes_to_the_reader() -> None:
    program = Program()
    opened = wire(program)
    asked = [asyncio.create_task(opened.ask(request(number), {})) for number in (1, 2)]
    await asyncio.sleep(0)
    program.says(method="notifications/message", params={})
    program.says(id="2", result={"is": "two, as a text"})
    program.says(id=3, result={"is": "nobody's here"})
    program.says(id=1, error={"code": -1, "message": "refused"})
    program.says(id=4, method="ping")
    read = [await opened.read.receive() for _ in range(3)]
    async with asyncio.timeout(5):
        first, second = await asyncio.gather(*asked)
    assert second.model_dump()["result"] == {"is": "two, as a text"}
    assert first.model_dump()["error"]["message"] == "refused"
    messages = [item.message for item in read if isinstance(item, SessionMessage)]
    assert [type(message).__name__ for message in messages] == [
        "JSONRPCNotification",
        "JSONRPCResponse",
        "JSONRPCRequest",
    ]


async def test_whoever_waits_no_more_tells_the_server_and_a_late_answer_goes_to_the_reader() -> None:
    program = Program()
    opened = wire(program)
    asked = asyncio.create_task(opened.ask(request(7), {}))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert [message["method"] for message in program.told] == ["tools/call", "notifications/cancelled"]
    assert program.told[1]["params"]["requestId"] == 7
    program.says(id=7, result={})
    late = await opened.read.receive()
    assert isinstance(late, SessionMessage)
    assert isinstance(late.message, JSONRPCResponse)
