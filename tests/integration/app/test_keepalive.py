"""Streams that say nothing stay warm: proxies and clients give up on a connection that is silent for long."""

import asyncio
import contextlib
import time

import pytest

from tests.integration.app.endpoint import PATH, RunningEndpoint, call, initialize, modern_headers, until
from tests.integration.app.streams import events

SILENCE = 25.0
"""Seconds without a byte that no stream may exceed."""


@pytest.mark.timeout(150)
async def test_silent_streams_carry_a_comment_at_least_every_25_seconds(endpoint: RunningEndpoint) -> None:
    """On each kind of stream, and on answers to a command that prints nothing; all at once, to save time."""
    gaps: dict[str, list[float]] = {"GET": [], "handshake": [], "resumed": [], "modern": [], "sse": []}
    quiet = call("execute_command", command="sleep 60")
    quiet_modern = call("execute_command", modern=True, command="sleep 60")

    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)

        async with events(http, "POST", endpoint.url, session, quiet | {"id": 2}) as lost:
            await until(lambda: bool(lost.ids), "a stream to take up again")
        resuming = session | {"Last-Event-ID": lost.ids[0]}

        async def watch(
            name: str, method: str, headers: dict[str, str], message: object = None, url: str = endpoint.url
        ) -> None:
            last = time.monotonic()
            async with http.stream(method, url, json=message, headers=headers) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith(":"):
                        gaps[name].append(time.monotonic() - last)
                        last = time.monotonic()

        watching = [
            asyncio.create_task(watch("GET", "GET", session)),
            asyncio.create_task(watch("handshake", "POST", session, quiet)),
            asyncio.create_task(watch("resumed", "GET", resuming)),
            asyncio.create_task(watch("sse", "GET", {}, url=f"{endpoint.origin}{PATH}/sse")),
            asyncio.create_task(watch("modern", "POST", modern_headers(quiet_modern), quiet_modern)),
        ]
        await until(
            lambda: all(len(found) >= 2 for found in gaps.values()), "two comments on each", seconds=3 * SILENCE
        )
        for task in watching:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert all(gap < SILENCE for found in gaps.values() for gap in found), gaps
