"""From what happened to the keys of the work that it causes. Nothing is decided here."""

from collections.abc import Callable, Iterable, Mapping
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


class Dispatcher:
    """Takes events, keeps the store current, and adds work."""

    def __init__(self, store: Store, add: Callable[[Work], None]) -> None:
        self._store = store
        self._add = add

    def host_seen(self, body: Mapping[str, Any]) -> None:
        """A RemoteHost exists, as it is now."""
        host = read_host(body)
        before = self._store.host(host.key)
        rivals = self._store.hosts_at(before) if before is not None else ()
        if self._store.put_host(host):
            self._host_changed(before, host, rivals)

    def host_gone(self, key: Key) -> None:
        """A RemoteHost was deleted."""
        before = self._store.host(key)
        rivals = self._store.hosts_at(before) if before is not None else ()
        if self._store.remove_host(key) is not None:
            self._host_changed(before, None, rivals)
        self.add_host(key)

    def _host_changed(self, before: Host | None, after: Host | None, rivals: Iterable[Key]) -> None:
        some = after or before
        if some is None:
            return
        self.add_host(some.key)
        if before is None or after is None or before.uid != after.uid or before.generation != after.generation:
            for key in {*rivals, *(self._store.hosts_at(after) if after is not None else ())}:
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
        gone = self._store.remove_token(key)
        if gone is not None:
            self._add_hosts_of(gone)

    def _add_hosts_of(self, *tokens: Token) -> None:
        for host in {host.key: host for token in tokens for host in self._store.hosts_for(token)}:
            self.add_host(host)

    def listed(self, hosts: Iterable[Mapping[str, Any]], tokens: Iterable[Mapping[str, Any]]) -> None:
        """All there is, as it was when it was listed: what the store has besides that and is older, is gone."""
        present = {Kind.HOST: set[Key](), Kind.TOKEN: set[Key]()}
        for kind, bodies, take in ((Kind.HOST, hosts, self.host_seen), (Kind.TOKEN, tokens, self.token_seen)):
            for body in bodies:
                take(body)
                present[kind].add(_key(body))
        for host in self._store.hosts():
            if host.key not in present[Kind.HOST]:
                self.host_gone(host.key)
        for token in self._store.tokens():
            if token.key not in present[Kind.TOKEN]:
                self.token_gone(token.key)

    def child_changed(self, meta: Meta) -> None:
        """A Deployment, Service or Ingress with our label was changed, by whomever."""
        if name := meta.labels.get(HOST_LABEL):
            self.add_host(Key(meta.namespace, name))

    def secret_changed(self, meta: Meta) -> None:
        """A Secret was changed, by whomever: one of ours, or one with credentials."""
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


def _key(body: Mapping[str, Any]) -> Key:
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])
