"""From what happened to the keys of the work that it causes. Nothing is decided here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from fairlead_operator.controllers.store import Store
from fairlead_operator.reconcile.labels import HOST_LABEL, TOKEN_LABEL
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.objects import Host, Key, Token, read_host, read_token
from fairlead_operator.reconcile.token import matches


class Kind(StrEnum):
    """What a key is of."""

    HOST = "RemoteHost"
    TOKEN = "McpToken"  # noqa: S105 - the name of a kind, no secret


class Work(NamedTuple):
    """One entry of the work queue."""

    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True)
class Listing:
    """What was known when a listing began, and what was deleted since."""

    hosts: Mapping[Key, str]
    """UIDs."""
    tokens: Mapping[Key, str]
    gone: set[Work]


class Dispatcher:
    """Takes events, keeps the store current, and adds work."""

    def __init__(self, store: Store, add: Callable[[Work], None]) -> None:
        self._store = store
        self._add = add
        self._listing: Listing | None = None

    def host_seen(self, body: Mapping[str, Any]) -> None:
        """A RemoteHost exists, as it is now."""
        host = read_host(body)
        before = self._store.host(host.key)
        rivals = self._store.rivals(host.key)
        if self._store.put_host(host):
            self._host_changed(before, host, rivals)

    def host_gone(self, key: Key) -> None:
        """A RemoteHost was deleted."""
        self._note_gone(Work(Kind.HOST, key))
        before = self._store.host(key)
        rivals = self._store.rivals(key)
        if self._store.remove_host(key) is not None:
            self._host_changed(before, None, rivals)
        self.add_host(key)

    def _host_changed(self, before: Host | None, after: Host | None, rivals: Iterable[Key]) -> None:
        some = after or before
        if some is None:
            return
        self.add_host(some.key)
        passed = {key for host in (before, after) if host is not None for key in self._store.passed_by(host)}
        if before is None or after is None or before.uid != after.uid or before.generation != after.generation:
            # Those on its way, too: what their credentials permit depends on who is behind them.
            for key in {*rivals, *self._store.rivals(some.key), *self._store.behind(some.key), *passed}:
                self.add_host(key)
        elif before.metadata.labels == after.metadata.labels:
            return
        for token in self._store.tokens(some.key.namespace):
            if any(matches(token, host) for host in (before, after) if host is not None):
                self.add_token(token.key)

    def token_seen(self, body: Mapping[str, Any]) -> None:
        """An McpToken exists, as it is now."""
        token = read_token(body)
        before = self._store.token(token.key)
        if not self._store.put_token(token):
            return
        self.add_token(token.key)
        if before is None or before.uid != token.uid or before.generation != token.generation:
            self._add_hosts_of(*(some for some in (before, token) if some is not None))

    def token_gone(self, key: Key) -> None:
        """An McpToken was deleted: its hosts hear of it at once."""
        self._note_gone(Work(Kind.TOKEN, key))
        gone = self._store.remove_token(key)
        if gone is not None:
            self._add_hosts_of(gone)

    def _note_gone(self, work: Work) -> None:
        if self._listing is not None:
            self._listing.gone.add(work)

    def _add_hosts_of(self, *tokens: Token) -> None:
        for host in {host.key: host for token in tokens for host in self._store.hosts_for(token)}:
            self.add_host(host)

    def begin_listing(self) -> Listing:
        """All there is, is about to be listed."""
        hosts = {host.key: host.uid for host in self._store.hosts()}
        tokens = {token.key: token.uid for token in self._store.tokens()}
        self._listing = Listing(hosts, tokens, set())
        return self._listing

    def listed(self, listing: Listing, hosts: Iterable[Mapping[str, Any]], tokens: Iterable[Mapping[str, Any]]) -> None:
        """All there was, some time after `listing` began.

        What was known before and is not in the list, is gone. Events went on meanwhile: what one of them brought is no
        older than the list, and what one of them took away stays away.
        """
        host_keys, token_keys = set[Key](), set[Key]()
        for bodies, keys, kind, take in (
            (hosts, host_keys, Kind.HOST, self.host_seen),
            (tokens, token_keys, Kind.TOKEN, self.token_seen),
        ):
            for body in bodies:
                key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
                keys.add(key)
                if Work(kind, key) not in listing.gone:
                    take(body)
        for key, uid in listing.hosts.items():
            host = self._store.host(key)
            if key not in host_keys and host is not None and host.uid == uid:
                self.host_gone(key)
        for key, uid in listing.tokens.items():
            token = self._store.token(key)
            if key not in token_keys and token is not None and token.uid == uid:
                self.token_gone(key)
        self._listing = None

    def child_changed(self, meta: Meta) -> None:
        """A Deployment, Service or Ingress with our label was changed, by whomever."""
        if name := meta.labels.get(HOST_LABEL):
            self.add_host(Key(meta.namespace, name))

    def secret_changed(self, meta: Meta) -> None:
        """A Secret was changed, by whomever: one of ours, or one that a host's pod mounts."""
        self.child_changed(meta)
        if name := meta.labels.get(TOKEN_LABEL):
            self.add_token(Key(meta.namespace, name))
        for key in self._store.hosts_with_secret(Key(meta.namespace, meta.name)):
            self.add_host(key)

    def add_host(self, key: Key) -> None:
        """Work on a host."""
        self._add(Work(Kind.HOST, key))

    def add_token(self, key: Key) -> None:
        """Work on a token."""
        self._add(Work(Kind.TOKEN, key))
