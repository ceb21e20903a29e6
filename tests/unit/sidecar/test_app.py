"""What a client gets where the sidecar itself fails."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from fairlead_sidecar.access.gate import Gate
from fairlead_sidecar.app import Application


@contextlib.asynccontextmanager
async def nothing(_app: Starlette) -> AsyncIterator[None]:
    yield


async def sent_by(*before: Message) -> list[Message]:
    """What goes out where the gate fails after it has sent so much."""

    async def gate(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        raise ZeroDivisionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/mcp", "headers": []}
    # The server logs it.
    with pytest.raises(ZeroDivisionError):
        await Application(cast("Gate", gate), nothing)(scope, receive, send)
    return sent


async def test_an_error_of_ours_is_answered() -> None:
    start, body = await sent_by()

    assert start["status"] == 500
    assert b"internal_error" in body["body"]
    assert b"ZeroDivision" not in body["body"]


async def test_nothing_is_put_behind_an_answer_that_has_begun() -> None:
    begun: Message = {"type": "http.response.start", "status": 200, "headers": []}

    assert await sent_by(begun) == [begun]
