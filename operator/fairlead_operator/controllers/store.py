"""What is known of the API's objects: the newest version of each, whoever brought it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Generic

from fairlead_api.authority import SSHCertificateAuthoritySpec
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.endpoint import resolve_endpoint
from fairlead_operator.reconcile.grants import Told
from fairlead_operator.reconcile.jumps import references
from fairlead_operator.reconcile.mounts import direct_secrets
from fairlead_operator.reconcile.objects import ApiObject, Authority, Host, Key, Spec, Token
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
    """All hosts, tokens and certificate authorities, and the questions that concern several of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hosts: _Objects[RemoteHostSpec] = _Objects()
        self._tokens: _Objects[McpTokenSpec] = _Objects()
        self._authorities: _Objects[SSHCertificateAuthoritySpec] = _Objects()
        self._by_secret: defaultdict[Key, set[Key]] = defaultdict(set)
        self._users: defaultdict[Key, set[Key]] = defaultdict(set)
        """Host -> those that name it as a jump host; it need not exist."""
        self._places = Places()
        self._grants: dict[str, tuple[TokenGrant, ...]] = {}
        self._left_out: dict[Key, frozenset[str]] = {}
        """Host -> UIDs of the McpTokens that have no room there; nothing where all have."""

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
        self._left_out.pop(key, None)
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

    def logs_in(self, host: Host, spec: RemoteHostSpec) -> bool:
        """Whether anybody logs in with a host's credentials: its own pod, or those of hosts behind it."""
        behind = (found for key in self.behind(host.key) if (found := self.host(key)) is not None)
        return not spec.suspended or any(some.spec is not None and not some.spec.suspended for some in behind)

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

    def settle(self, token: Token, grants: tuple[TokenGrant, ...]) -> bool:
        """Say what sidecars are told of a token; empty: nothing. Returns whether that is news."""
        news = token.uid not in self._grants or self._grants[token.uid] != grants
        self._grants[token.uid] = grants
        return news

    def all_settled(self) -> bool:
        """Whether every token has been looked at."""
        return all(token.uid in self._grants for token in self._tokens.all())

    def leave_out(self, key: Key, uids: frozenset[str]) -> bool:
        """Say which tokens have no room on a host. Returns whether that is news."""
        news = self._left_out.get(key, frozenset()) != uids
        if uids:
            self._left_out[key] = uids
        else:
            self._left_out.pop(key, None)
        return news

    def has_room(self, host: Host, token: Token) -> bool:
        """Whether the host's configuration holds the token, or would if it were valid."""
        return token.uid not in self._left_out.get(host.key, frozenset())

    def hosts_for(self, token: Token) -> list[Host]:
        """The hosts that a token is for, by name."""
        return sorted(
            (host for host in self.hosts(token.key.namespace) if matches(token, host)), key=lambda host: host.key
        )

    def grants_for(self, host: Host) -> tuple[Told, ...] | None:
        """What there is to tell a host's sidecar of tokens; None while a token's Secret has not been looked at yet.

        A configuration that was rendered in that state would revoke a token that is good.
        """
        wanted = [token for token in self.tokens(host.key.namespace) if matches(token, host)]
        if any(token.uid not in self._grants for token in wanted):
            return None
        return tuple(Told(token.uid, token.created, self._grants[token.uid]) for token in wanted)

    # Certificate authorities

    def authority(self, key: Key) -> Authority | None:
        """One certificate authority."""
        return self._authorities.find(key)

    def authorities(self, namespace: str | None = None) -> Iterable[Authority]:
        """The certificate authorities of a namespace, or all."""
        return list(self._authorities.all() if namespace is None else self._authorities.get(namespace, {}).values())

    def put_authority(self, authority: Authority) -> bool:
        """Take a version of a certificate authority. Returns whether it is news."""
        return self._authorities.put(authority)

    def remove_authority(self, key: Key) -> Authority | None:
        """Forget a certificate authority."""
        gone: Authority | None = self._authorities.take(key)
        return gone

    def hosts_with_authority(self, key: Key) -> list[Host]:
        """The hosts whose certificates this authority signs, by name."""
        users = (host for host in self.hosts(key.namespace) if authority_of(host) == key.name)
        return sorted(users, key=lambda host: host.key)

    def authority_secrets(self, namespace: str) -> frozenset[str]:
        """The Secrets in which users keep authorities' keys."""
        specs = (some.spec for some in self.authorities(namespace) if some.spec is not None)
        return frozenset(spec.secret.name for spec in specs if spec.secret is not None)

    def authorities_with_secret(self, secret: Key) -> list[Key]:
        """The authorities whose key a user keeps in this Secret."""
        return [
            some.key
            for some in self.authorities(secret.namespace)
            if some.spec is not None and some.spec.secret is not None and some.spec.secret.name == secret.name
        ]


def authority_of(host: Host) -> str | None:
    """The name of the certificate authority that a host's spec names."""
    certificate = host.spec.auth.certificate if host.spec is not None else None
    return certificate.authority_ref.name if certificate is not None else None
