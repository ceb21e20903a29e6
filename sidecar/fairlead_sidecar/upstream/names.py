"""Names of upstream tools, prompts and resources among those of all servers, and the way back.

A tool is `<server>__<tool>`, which every client accepts: letters, digits, `_` and `-`, at most 50 characters. A
resource keeps its URI, unless somebody else has it already; `<server>+<uri>` always means that server's.
"""

import hashlib
import re
from collections.abc import Container, Iterable, Mapping

MAX_NAME = 50
"""Characters: clients put prefixes of their own before a name, and 64 is the limit of the models behind them."""
SEPARATOR = "__"
_ADDRESS = "+"
_HEX_DIGITS = 6
_FITTING = re.compile(r"[A-Za-z0-9_-]+")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


def split(name: str) -> tuple[str, str] | None:
    """The server and the rest of an aggregate name; None: it is no upstream server's.

    The rest is the original name only where that needed no change: `Names.original` knows.
    """
    server, separator, rest = name.partition(SEPARATOR)
    return (server, rest) if server and separator and rest else None


class Names:
    """The aggregate names of one server's tools, or of its prompts.

    A name depends on the original alone, so that it stays whatever else is listed; only of two that would be the same
    one gives way, the one that had to be changed, or the later in the alphabet.

    Args:
        server: The server's name.
        originals: The names as the server lists them, in any order.
    """

    def __init__(self, server: str, originals: Iterable[str]) -> None:
        self._originals: dict[str, str] = {}
        self._aggregates: dict[str, str] = {}
        prefix = server + SEPARATOR
        for original in sorted(set(originals), key=lambda name: (not _fits(prefix + name), name)):
            name = _aggregate(prefix, original, self._originals)
            self._originals[name] = original
            self._aggregates[original] = name

    def aggregate(self, original: str) -> str:
        """The name among those of all servers.

        Raises:
            KeyError: The server lists no such thing.
        """
        return self._aggregates[original]

    def original(self, aggregate: str) -> str | None:
        """What the server calls it; None: nothing has this name."""
        return self._originals.get(aggregate)


def addressed(server: str, uri: str) -> str:
    """The URI, or template, that means this server's, whoever else has the same one."""
    return f"{server}{_ADDRESS}{uri}"


def address(uri: str, servers: Container[str]) -> tuple[str, str] | None:
    """The server that a URI addresses explicitly, and the URI there; None: it addresses none."""
    server, plus, rest = uri.partition(_ADDRESS)
    return (server, rest) if plus and rest and server in servers else None


def listed_uris(servers: Mapping[str, Iterable[str]], taken: Container[str] = ()) -> dict[str, tuple[str, str]]:
    """How the resources of all servers are listed: URI in the list -> (server, its own URI).

    Args:
        servers: The URIs, or templates, of each server, in the configuration's order.
        taken: Those that Fairlead itself has.
    """
    listed: dict[str, tuple[str, str]] = {}
    for server, uris in servers.items():
        for uri in dict.fromkeys(uris):
            # One that looks as if it addressed a server would be read there, so it needs an address itself.
            unique = uri not in taken and uri not in listed and address(uri, servers) is None
            listed[uri if unique else addressed(server, uri)] = (server, uri)
    return listed


def _aggregate(prefix: str, original: str, taken: Container[str]) -> str:
    name = prefix + original
    if _fits(name) and name not in taken:
        return name
    readable = _UNFIT.sub("_", original)
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()
    room = max(0, MAX_NAME - len(prefix) - _HEX_DIGITS - 1)
    candidates = (
        f"{prefix}{readable[:room]}_{digest[start : start + _HEX_DIGITS]}"
        for start in range(len(digest) - _HEX_DIGITS + 1)
    )
    return next((candidate for candidate in candidates if candidate not in taken), f"{prefix}{digest}")


def _fits(name: str) -> bool:
    return len(name) <= MAX_NAME and _FITTING.fullmatch(name) is not None
