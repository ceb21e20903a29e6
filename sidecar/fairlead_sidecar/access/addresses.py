"""Where a request comes from: the connection's own address, or what trusted proxies say in front of it."""

import ipaddress
import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache

logger = logging.getLogger(__name__)

MOST_PROXIES = 32
"""Trusted proxies in a row; with more of them the client's address counts as unknown."""
_LONGEST = 80
"""Characters of an address with brackets, scope and port; what is longer is none."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """A set of networks. IPv4 addresses that came as IPv6 (`::ffff:10.0.0.1`, RFC 4291 2.5.5.2) count as IPv4.

    Args:
        cidrs: Networks (`10.0.0.0/8`) or single addresses. One that can't be read holds nobody.
    """

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks = tuple(network for network in map(_network, cidrs) if network is not None)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str | None) -> bool:
        read = None if address is None else parse(address)
        return read is not None and any(read in network for network in self._networks)


@lru_cache(maxsize=256)
def networks(cidrs: tuple[str, ...]) -> Networks:
    """The networks of a list, read once: tokens often share one."""
    return Networks(cidrs)


@lru_cache(maxsize=4096)
def within(address: str | None, cidrs: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks; remembered, for it is asked several times a request."""
    return address in networks(cidrs)


def is_subnet(cidr: str, other: str) -> bool:
    """Whether all addresses of a network are in another one; of one that can't be read nothing is known."""
    inner, outer = _network(cidr), _network(other)
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return inner is not None and isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def client_address(peer: str | None, forwarded: Sequence[str], proxies: Networks) -> str | None:
    """The address of the client itself.

    Args:
        peer: The other end of the TCP connection.
        forwarded: The `X-Forwarded-For` headers in their order. Each proxy appends whom it was asked by, so they are
            read from the right, as long as trusted proxies have written them; all else may be made up.
        proxies: Whose headers are believed.

    Returns:
        None where it can't be told: a trusted proxy names something that is no address.
    """
    if not proxies or peer not in proxies:
        return peer
    hops = [hop for line in forwarded for hop in line.split(",") if not hop.isspace() and hop]
    address = peer
    for hop in reversed(hops[-MOST_PROXIES:]):
        read = parse(hop)
        if read is None:
            return None
        address = str(read)
        if address not in proxies:
            return address
    return address if len(hops) <= MOST_PROXIES else None


def parse(text: str) -> Address | None:
    """An address as proxies write it: `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]:1234`; else None."""
    return _parse(text.strip()) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _parse(text: str) -> Address | None:
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or ":" not in host:
            return None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        port = f":{port}"
    if port and not (port[1:].isascii() and port[1:].isdecimal()):
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(cidr: str) -> Network | None:
    try:
        network = ipaddress.ip_network(cidr.strip(), strict=False)
    except ValueError:
        logger.warning("%.60r is no network: nobody is in it", cidr)
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96 and network[0].ipv4_mapped is not None:
        return ipaddress.ip_network((network[0].ipv4_mapped, network.prefixlen - 96))
    return network
