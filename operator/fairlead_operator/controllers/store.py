"""What is known of RemoteHosts and McpTokens: the newest version of each, whoever brought it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Generic

from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.endpoint import resolve_endpoint
from fairlead_operator.reconcile.jumps import references
from fairlead_operator.reconcile.mounts import direct_secrets
from fairlead_operator.reconcile.objects import ApiObject, Host, Key, Spec, Token
from fairlead_operator.reconcile.places import Places, claim
from fairlead_operator.reconcile.token import matches
from fairlead_operator.settings import Settings
from fairlead_sidecar.config import TokenGrant


class _Objects(dict[str, dict[str, ApiObject[Spec]]], Generic[Spec]):
    """Objects of one kind, by namespace and name."""

    def find(self, key: Key) -> ApiObject[Spec] | None:
        return self.get(key.namespace, {}).get(key.name)

    def put(self, new: ApiObject[Spec]) -> bool:
        """Take a version of an object unless a newer one, or this one, is known. Returns whether it was taken."""
        before = self.find(new.key)
        if before is not None and before.version >= new.version:
            return False
        self.setdefault(new.key.namespace, {})[new.key.name] = new
        return True

    def take(self, key: Key) -> ApiObject[Spec] | None:
        names = self.get(key.namespace, {})
        gone = names.pop(key.name, None)
        if not names:
            self.pop(key.namespace, None)
        return gone

    def all(self) -> Iterator[ApiObject[Spec]]:
        for names in self.values():
            yield from names.values()


class Store:
    """All hosts and tokens, and the questions that concern several of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hosts: _Objects[RemoteHostSpec] = _Objects()
        self._tokens: _Objects[McpTokenSpec] = _Objects()
        self._by_secret: defaultdict[Key, set[Key]] = defaultdict(set)
        self._users: defaultdict[Key, set[Key]] = defaultdict(set)
        """Host -> those that name it as a jump host; it need not exist."""
        self._places = Places()
        self._grants: dict[str, TokenGrant | None] = {}

    # Hosts

    def host(self, key: Key) -> Host | None:
        """One host."""
        return self._hosts.find(key)

    def hosts(self, namespace: str | None = None) -> Iterable[Host]:
        """The hosts of a namespace, or all."""
        return list(self._hosts.all() if namespace is None else self._hosts.get(namespace, {}).values())

    def put_host(self, host: Host) -> bool:
        """Take a version of a host. Returns whether it is news."""
        before = self._hosts.find(host.key)
        if not self._hosts.put(host):
            return False
        self._index(before, add=False)
        self._index(host, add=True)
        if host.spec is not None:
            # One that can't be read keeps its place: its Ingress is still there.
            endpoint = resolve_endpoint(host.key, host.spec, self._settings)
            self._places.put(host.key, claim(host, endpoint, self._settings))
        return True

    def remove_host(self, key: Key) -> Host | None:
        """Forget a host."""
        gone = self._hosts.take(key)
        self._index(gone, add=False)
        self._places.put(key, None)
        return gone

    def _index(self, host: Host | None, *, add: bool) -> None:
        if host is None or host.spec is None:
            return
        for index, names in (
            (self._by_secret, direct_secrets(host.key.name, host.spec)),
            (self._users, references(host.spec)),
        ):
            for key in (Key(host.key.namespace, name) for name in names):
                if add:
                    index[key].add(host.key)
                elif key in index:
                    index[key].discard(host.key)
                    if not index[key]:
                        del index[key]

    def hosts_with_secret(self, secret: Key) -> Iterable[Key]:
        """The hosts whose pods mount this Secret, or might: those behind a jump host that needs it are among them."""
        direct = self._by_secret.get(secret, set())
        return direct.union(*(self.behind(key) for key in direct))

    def behind(self, key: Key) -> set[Key]:
        """The hosts that are reached through this one, whatever number of others lies between."""
        found: set[Key] = set()
        waiting = [key]
        while waiting:
            new = self._users.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    def passed_by(self, host: Host) -> set[Key]:
        """The hosts that are named on the way to this one, and on the way to those."""
        found: set[Key] = set()
        waiting = [host]
        while waiting:
            some = waiting.pop()
            if some.spec is None:
                continue
            new = {Key(some.key.namespace, name) for name in references(some.spec)} - found
            found |= new
            waiting += [named for key in new if (named := self.host(key)) is not None]
        return found

    def rivals(self, key: Key) -> Iterable[Key]:
        """The hosts whose endpoints overlap this one's."""
        return [rival.key for rival in self._places.rivals(key)]

    def endpoint_winner(self, key: Key) -> Key | None:
        """The host that has the endpoint, or a part of it, which this one wants; None where this one may have it."""
        return self._places.winner(key)

    # Tokens

    def token(self, key: Key) -> Token | None:
        """One token."""
        return self._tokens.find(key)

    def tokens(self, namespace: str | None = None) -> Iterable[Token]:
        """The tokens of a namespace, or all."""
        return list(self._tokens.all() if namespace is None else self._tokens.get(namespace, {}).values())

    def put_token(self, token: Token) -> bool:
        """Take a version of a token. Returns whether it is news."""
        before = self._tokens.find(token.key)
        if not self._tokens.put(token):
            return False
        if before is not None and before.uid != token.uid:
            self._grants.pop(before.uid, None)
        return True

    def remove_token(self, key: Key) -> Token | None:
        """Forget a token and what sidecars are told of it."""
        gone: Token | None = self._tokens.take(key)
        if gone is not None:
            self._grants.pop(gone.uid, None)
        return gone

    def grant(self, token: Token) -> TokenGrant | None:
        """What sidecars were told of a token last."""
        return self._grants.get(token.uid)

    def settle(self, token: Token, grant: TokenGrant | None) -> bool:
        """Say what sidecars are told of a token; None: nothing. Returns whether that is news."""
        news = token.uid not in self._grants or self._grants[token.uid] != grant
        self._grants[token.uid] = grant
        return news

    def hosts_for(self, token: Token) -> list[Host]:
        """The hosts that a token is for, by name."""
        return sorted(
            (host for host in self.hosts(token.key.namespace) if matches(token, host)), key=lambda host: host.key
        )

    def grants_for(self, host: Host) -> frozenset[TokenGrant] | None:
        """What a host's sidecar is told of tokens; None while a token's Secret has not been looked at yet.

        A configuration that was rendered in that state would revoke a token that is good.
        """
        wanted = [token.uid for token in self.tokens(host.key.namespace) if matches(token, host)]
        if any(uid not in self._grants for uid in wanted):
            return None
        return frozenset(grant for uid in wanted if (grant := self._grants[uid]) is not None)
