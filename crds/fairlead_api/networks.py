"""Networks, written as address and prefix length."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from fairlead_api.base import Cel

_ADVICE = (
    "must be a network such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32, without bits behind the prefix; IPv4 not as"
    " IPv6"
)


def _canonical(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(_ADVICE) from None
    if "/" not in text or "%" in text or getattr(network.network_address, "ipv4_mapped", None) is not None:
        raise ValueError(_ADVICE)
    return str(network)


Cidr = Annotated[
    str,
    Field(min_length=4, max_length=43),
    AfterValidator(_canonical),
    Cel("isCIDR(self) && cidr(self) == cidr(self).masked()", _ADVICE),
]
"""A network in CIDR notation (RFC 4632, RFC 4291), in its canonical form once it was read."""
