"""The HTTP clients for sidecars and for public URLs, and how long they wait."""

import random
import socket
from ipaddress import IPv6Address, ip_address
from typing import Any

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


def open_public_session() -> aiohttp.ClientSession:
    """A session for URLs that users choose: it connects neither to this machine nor to what only its link reaches."""
    own = _own_addresses()

    def connect_to(address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (host, *_) = address
        # Checked here and not in the URL: this is what is connected to, however it was spelled or resolved.
        if not may_be_public(str(host)) or str(host) in own:
            raise PermissionError("this address is not asked")
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=connect_to, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "fairlead-operator"},
    )


def may_be_public(address: str) -> bool:
    """Whether an endpoint could be at this IP address. Private ones count: an Ingress controller may have one."""
    try:
        ip = ip_address(address)
    except ValueError:
        # Something that only looks like an address, such as 127.1, which the system would complete.
        return False
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return not (ip.is_loopback or ip.is_unspecified or ip.is_link_local or ip.is_multicast)


def _own_addresses() -> frozenset[str]:
    try:
        return frozenset(str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None))
    except OSError:
        return frozenset()


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
