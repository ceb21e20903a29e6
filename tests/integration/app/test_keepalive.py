"""Streams that say nothing stay warm: proxies and clients give up on a connection that is silent for long."""

import asyncio
import contextlib
import time

import pytest

from tests.integration.app.endpoint import RunningEndpoint, call, initialize, modern_headers, until

SILENCE = 25.0
"""Seconds without a byte that no stream may exceed."""


@pytest.mark.timeout(90)
async def test_silent_streams_carry_a_comment_at_least_every_25_seconds(endpoint: RunningEndpoint) -> None:
    """On the GET stream and on both eras' answers to a command that prints nothing; all at once, to save time."""
    gaps: dict[str, list[float]] = {"GET": [], "handshake": [], "modern": []}
    quiet = call("execute_command", command="sleep 60")
    quiet_modern = call("execute_command", modern=True, command="sleep 60")

    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)

        async def watch(name: str, method: str, headers: dict[str, str], message: object = None) -> None:
            last = time.monotonic()
            async with http.stream(method, endpoint.url, json=message, headers=headers) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith(":"):
                        gaps[name].append(time.monotonic() - last)
                        last = time.monotonic()

        watching = [
            asyncio.create_task(watch("GET", "GET", session)),
            asyncio.create_task(watch("handshake", "POST", session, quiet)),
            asyncio.create_task(watch("modern", "POST", modern_headers(quiet_modern), quiet_modern)),
        ]
        await until(
            lambda: all(len(found) >= 2 for found in gaps.values()), "two comments on each", seconds=2 * SILENCE
        )
        for task in watching:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert all(gap < SILENCE for found in gaps.values() for gap in found), gaps
