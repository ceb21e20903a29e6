"""The HTTP client for sidecars and public URLs, and how long it waits."""

import random

import aiohttp

CONNECT_TIMEOUT = 1.0
"""Seconds to connect: inside a cluster that takes milliseconds or does not happen."""


def open_session() -> aiohttp.ClientSession:
    """A session without limits on connections: each host holds one long poll."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=75),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "fairlead-operator"},
    )


def timeout(total: float, connect: float = CONNECT_TIMEOUT) -> aiohttp.ClientTimeout:
    """Limits of one request, in seconds."""
    return aiohttp.ClientTimeout(total=total, sock_connect=connect)


def jittered(seconds: float) -> float:
    """About as long, so that hosts don't act in step."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body.

    Raises:
        ValueError: It is longer than `limit` bytes.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ValueError(f"the answer is longer than {limit} bytes")
    return bytes(body)
