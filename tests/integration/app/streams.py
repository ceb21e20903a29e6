"""Answers that are read event by event in the background, and dropped when the test says so."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx


@dataclass
class Events:
    """A stream of server-sent events so far."""

    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    ids: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """The `event:` of those that have one."""
    other: list[str] = field(default_factory=list)
    """Lines that are neither, in full; for `endpoint` events their data."""
    retry: int | None = None
    ended: bool = False

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The messages that answer requests."""
        return [message for message in self.messages if "method" not in message]

    def take(self, line: str) -> None:
        """One more line."""
        name, _, value = line.partition(":")
        value = value.strip()
        if name == "id":
            self.ids.append(value)
        elif name == "event":
            self.kinds.append(value)
        elif name == "retry":
            self.retry = int(value)
        elif name == "data" and value.startswith("{"):
            self.messages.append(json.loads(value))
        elif line:
            self.other.append(value)


@contextlib.asynccontextmanager
async def events(
    http: httpx.AsyncClient, method: str, url: str, headers: dict[str, str], message: object = None
) -> AsyncIterator[Events]:
    """Read a stream while the block runs; leaving it closes the connection."""
    stream = Events()

    async def read() -> None:
        async with http.stream(method, url, json=message, headers=headers) as answer:
            stream.status, stream.headers = answer.status_code, answer.headers
            async for line in answer.aiter_lines():
                stream.take(line)
        stream.ended = True

    task = asyncio.create_task(read())
    try:
        yield stream
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def sleeper() -> tuple[str, str]:
    """A command that runs for long, and what its process can be found by."""
    marker = f"4{uuid4().int % 10**9:09}"
    return f"exec sleep {marker}", marker
