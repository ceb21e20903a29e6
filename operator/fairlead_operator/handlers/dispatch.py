"""From what happened to the keys of the work that it causes. Nothing is decided here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from fairlead_operator.controllers.store import Store, authority_of
from fairlead_operator.reconcile.labels import AUTHORITY_LABEL, HOST_LABEL, TOKEN_LABEL
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.objects import Host, Key, Token, read_authority, read_host, read_token
from fairlead_operator.reconcile.token import matches


class Kind(StrEnum):
    """What a key is of."""

    HOST = "RemoteHost"
    TOKEN = "McpToken"  # noqa: S105 - the name of a kind, no secret
    AUTHORITY = "SSHCertificateAuthority"


class Work(NamedTuple):
    """One entry of the work queue."""

    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True)
class Listing:
    """What was known when a listing began, and what was deleted since."""

    known: Mapping[Work, str]
    """UIDs."""
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
            for name in {authority_of(host) for host in (before, after) if host is not None} - {None}:
                self.add_authority(Key(some.key.namespace, str(name)))
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

    def authority_seen(self, body: Mapping[str, Any]) -> None:
        """An SSHCertificateAuthority exists, as it is now."""
        authority = read_authority(body)
        if self._store.put_authority(authority):
            self.add_authority(authority.key)

    def authority_gone(self, key: Key) -> None:
        """An SSHCertificateAuthority was deleted."""
        self._note_gone(Work(Kind.AUTHORITY, key))
        if self._store.remove_authority(key) is not None:
            self.add_authority(key)

    def _note_gone(self, work: Work) -> None:
        if self._listing is not None:
            self._listing.gone.add(work)

    def _add_hosts_of(self, *tokens: Token) -> None:
        for host in {host.key: host for token in tokens for host in self._store.hosts_for(token)}:
            self.add_host(host)

    def begin_listing(self) -> Listing:
        """All there is, is about to be listed."""
        known = {
            **{Work(Kind.HOST, host.key): host.uid for host in self._store.hosts()},
            **{Work(Kind.TOKEN, token.key): token.uid for token in self._store.tokens()},
            **{Work(Kind.AUTHORITY, authority.key): authority.uid for authority in self._store.authorities()},
        }
        self._listing = Listing(known, set())
        return self._listing

    def listed(self, listing: Listing, objects: Mapping[Kind, Iterable[Mapping[str, Any]]]) -> None:
        """All there was, some time after `listing` began.

        What was known before and is not in the list, is gone. Events went on meanwhile: what one of them brought is no
        older than the list, and what one of them took away stays away.
        """
        takes = {Kind.HOST: self.host_seen, Kind.TOKEN: self.token_seen, Kind.AUTHORITY: self.authority_seen}
        found = set[Work]()
        for kind, bodies in objects.items():
            for body in bodies:
                work = Work(kind, Key(body["metadata"]["namespace"], body["metadata"]["name"]))
                found.add(work)
                if work not in listing.gone:
                    takes[kind](body)
        for work, uid in listing.known.items():
            if work not in found and self._uid(work) == uid:
                self._gone(work)
        self._listing = None

    def _uid(self, work: Work) -> str | None:
        """The UID of the object as it is known now."""
        find = {Kind.HOST: self._store.host, Kind.TOKEN: self._store.token, Kind.AUTHORITY: self._store.authority}
        some = find[work.kind](work.key)
        return some.uid if some is not None else None

    def _gone(self, work: Work) -> None:
        {Kind.HOST: self.host_gone, Kind.TOKEN: self.token_gone, Kind.AUTHORITY: self.authority_gone}[work.kind](
            work.key
        )

    def child_changed(self, meta: Meta) -> None:
        """An object with our label was changed, by whomever."""
        if name := meta.labels.get(HOST_LABEL):
            self.add_host(Key(meta.namespace, name))
        if name := meta.labels.get(AUTHORITY_LABEL):
            self.add_authority(Key(meta.namespace, name))

    def secret_changed(self, meta: Meta) -> None:
        """A Secret was changed, by whomever: one of ours, or one that a host's pod mounts."""
        self.child_changed(meta)
        if name := meta.labels.get(TOKEN_LABEL):
            self.add_token(Key(meta.namespace, name))
        for key in self._store.hosts_with_secret(Key(meta.namespace, meta.name)):
            self.add_host(key)
        for key in self._store.authorities_with_secret(Key(meta.namespace, meta.name)):
            self.add_authority(key)

    def add_host(self, key: Key) -> None:
        """Work on a host."""
        self._add(Work(Kind.HOST, key))

    def add_token(self, key: Key) -> None:
        """Work on a token."""
        self._add(Work(Kind.TOKEN, key))

    def add_authority(self, key: Key) -> None:
        """Work on a certificate authority, be it to say to its hosts that it is gone."""
        self._add(Work(Kind.AUTHORITY, key))
