"""Where `fairlead serve` is to log in: what a person types, as `ssh` takes it."""

import re
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(
    r"(?:ssh://)?"
    r"(?:(?P<username>.+)@)?"
    r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<bare_ipv6>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?)|(?P<name>[^:\[\]@/]+))"
    r"(?::(?P<port>[^:]*))?"
    r"/?"
)
# The same as OpenSSH refuses: both end up in ProxyCommand and Match exec lines of a person's own configuration.
_HOST = re.compile(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]*")
_UNSAFE_IN_USERNAME = re.compile(r"""[\x00-\x20\x7f'`";&<>|(){}]|^-|\\\Z""")
_EXAMPLES = "web-01, deploy@web-01, deploy@web-01:2222 or deploy@[2001:db8::1]:22"


@dataclass(frozen=True)
class Destination:
    """A host name, address or alias of the SSH configuration; None leaves the choice to that configuration."""

    host: str
    username: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[ssh://][USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets.

        Raises:
            ValueError: It does not have that form; the message says what is wrong.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            msg = f"{text!r} is no destination: write it like {_EXAMPLES}"
            raise ValueError(msg)
        host = match["bracketed"] or match["bare_ipv6"] or match["name"]
        if not _HOST.fullmatch(host):
            msg = f"{host!r} is no host name: letters, digits, dots, hyphens and underscores only"
            raise ValueError(msg)
        username: str | None = match["username"]
        if username is not None and ":" in username:
            msg = "a password does not belong into the destination: use a key, ssh-agent, or a RemoteHost with a Secret"
            raise ValueError(msg)
        if username is not None and _UNSAFE_IN_USERNAME.search(username):
            msg = f"{username!r} is no user name: it holds a character that `ssh` refuses too"
            raise ValueError(msg)
        return cls(host=host, username=username, port=_port(match["port"]))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        msg = f"port {text!r} is not a number from 1 to 65535"
        raise ValueError(msg)
    return int(text)
