"""The endpoint's URL: checked, and as the keyring knows it."""

import ipaddress
from urllib.parse import urlsplit

from fairlead_client.connect.errors import ConnectError


def check(url: str) -> str:
    """The URL as it is used: without a fragment.

    Raises:
        ConnectError: MCP can't be spoken there.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        msg = f"{url!r} is no URL: {error}"
        raise ConnectError(msg) from error
    if parts.username is not None or parts.password is not None:
        msg = "a name or password does not belong into the URL: give the token with --token-file or FAIRLEAD_TOKEN"
        raise ConnectError(msg)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        msg = (
            f"{url!r} is neither the URL of an endpoint (https://HOST/PATH/mcp) nor of an SSH server (ssh://USER@HOST)"
        )
        raise ConnectError(msg)
    return parts._replace(fragment="").geturl()


def account(url: str) -> str:
    """The keyring's account for a URL: origin and path."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def is_loopback(url: str) -> bool:
    """Whether it leads to this machine and nowhere else."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_readable_on_the_way(url: str) -> bool:
    """Whether others on the network can read what is sent, tokens included."""
    return urlsplit(url).scheme == "http" and not is_loopback(url)
