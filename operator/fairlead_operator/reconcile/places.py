"""Which host may have which place, that is, host name and path of an Ingress or an HTTPRoute.

Their controllers send a request to the most specific host name and the longest path that match. So whoever gets a place
within, or around, somebody else's may get the tokens that are meant for the other: of two places that overlap only one
is given away, whoever asks for them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fairlead_operator.reconcile.default_endpoint import canonical_host, default_host, default_path
from fairlead_operator.reconcile.endpoint import Endpoint
from fairlead_operator.reconcile.objects import Host, Key
from fairlead_operator.reconcile.routes import components
from fairlead_operator.settings import Settings

Components = tuple[str, ...]
_At = tuple[str, Components]

ANY = ""
"""The host of a route for any host name."""
_EVERY = "*"
"""Stands for all hosts in the index; no host name is spelled like that."""


@dataclass(frozen=True)
class Claim:
    """A host's wish for a place."""

    key: Key
    host: str
    path: Components
    written: bool
    """Whether the object asks for another place than the one that the operator gives by itself."""
    created: datetime
    uid: str

    @property
    def rank(self) -> tuple[bool, datetime, str]:
        """The smaller one wins. Age does not help against a place given by default: nobody can occupy it beforehand."""
        return (self.written, self.created, self.uid)


def claim(host: Host, endpoint: Endpoint, settings: Settings) -> Claim | None:
    """The place that a host wants; None where it wants none, or may not have it."""
    if endpoint.route is None or endpoint.refusal:
        return None
    path = components(endpoint.route.path)
    name = canonical_host(host.key, endpoint.route.host, settings)
    given = (default_host(host.key, settings), components(default_path(host.key, settings)))
    return Claim(
        key=host.key,
        host=name,
        path=path,
        written=(name, path) != given,
        created=host.created,
        uid=host.uid,
    )


class Places:
    """All claims, found by what they overlap without looking at each."""

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._at: defaultdict[_At, set[Key]] = defaultdict(set)
        """By host and exact path."""
        self._below: defaultdict[_At, set[Key]] = defaultdict(set)
        """By host and each path that is a part of the claim's, the whole of it excepted."""

    def put(self, key: Key, claim: Claim | None) -> None:
        """Note what a host claims from now on; None: nothing."""
        if (before := self._claims.pop(key, None)) is not None:
            for index, at in self._entries(before):
                index[at].discard(key)
                if not index[at]:
                    del index[at]
        if claim is not None:
            self._claims[key] = claim
            for index, at in self._entries(claim):
                index[at].add(key)

    def _entries(self, claim: Claim) -> Iterator[tuple[defaultdict[_At, set[Key]], _At]]:
        for host in (claim.host, _EVERY):
            yield self._at, (host, claim.path)
            for length in range(len(claim.path)):
                yield self._below, (host, claim.path[:length])

    def rivals(self, key: Key) -> list[Claim]:
        """The claims of others that overlap a host's."""
        claim = self._claims.get(key)
        if claim is None:
            return []
        found: set[Key] = set()
        for host in (_EVERY,) if claim.host == ANY else (claim.host, ANY):
            found |= self._below.get((host, claim.path), set())
            for length in range(len(claim.path) + 1):
                found |= self._at.get((host, claim.path[:length]), set())
        return [self._claims[other] for other in found - {key}]

    def winner(self, key: Key) -> Key | None:
        """The host that has the place which this one wants, or a part of it; None where this one may have it.

        A claim that lost goes on to count: who has what depends on direct rivals only, and never on theirs.
        """
        best = min(self.rivals(key), key=lambda rival: rival.rank, default=None)
        return best.key if best is not None and best.rank < self._claims[key].rank else None
