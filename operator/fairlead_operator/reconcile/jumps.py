"""From a RemoteHost's jump hosts to the servers that are passed, one after the other."""

from collections.abc import Callable
from dataclasses import dataclass

from fairlead_api.conditions import HostReason
from fairlead_api.host_keys import HostKey, HostKeyType, OwnHostKey
from fairlead_api.jump_hosts import MAX_JUMP_HOSTS, JumpHost
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.names import credentials_secret_name
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.refusal_hints import refusal_hint
from fairlead_sidecar import config as sidecar

Find = Callable[[str], Host | None]
"""The RemoteHost of this name in the namespace, None where there is none."""


@dataclass(frozen=True)
class Hop:
    """A server on the way."""

    target: sidecar.Target
    secret: str
    """The Secret with the credentials of the login there."""
    host_key: sidecar.PinnedHostKeys | sidecar.AuthorityHostKeys
    name: str
    """What messages call it: the name of its RemoteHost, else its address."""
    accepted: str = ""
    """What a person has accepted about its host key."""
    refusal_hint: str = ""
    """What to do where it refuses its credentials; empty: they are of a Secret that a person fills."""


class NoWay(Exception):
    """The jump hosts can't be resolved; the message says why and what to do."""

    def __init__(self, reason: HostReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def trusted_keys(host_key: HostKey | OwnHostKey) -> sidecar.PinnedHostKeys | sidecar.AuthorityHostKeys:
    """How a server proves what it is whose keys the spec holds, in the sidecar's words."""
    if host_key.authority is not None:
        return sidecar.AuthorityHostKeys(public_keys=host_key.authority.public_keys)
    return sidecar.PinnedHostKeys(public_keys=host_key.pinned.public_keys if host_key.pinned else ())


def references(spec: RemoteHostSpec) -> frozenset[str]:
    """The names of the RemoteHosts that the spec names as jump hosts."""
    return frozenset(jump.host_ref.name for jump in spec.jump_hosts or () if jump.host_ref is not None)


def way(name: str, spec: RemoteHostSpec, find: Find) -> tuple[Hop, ...]:
    """The servers that are passed on the way to a host, in order.

    Args:
        name: The host's name.
        spec: Its spec.
        find: Looks up the RemoteHosts that are named.

    Raises:
        NoWay: One that is named does not exist, they go round in a circle, or there are too many.
    """
    hops: list[Hop] = []
    _pass(spec, (name,), find, hops)
    return tuple(hops)


def _pass(spec: RemoteHostSpec, path: tuple[str, ...], find: Find, hops: list[Hop]) -> None:
    for jump in spec.jump_hosts or ():
        hops.append(_inline(jump) if jump.host_ref is None else _referenced(jump.host_ref.name, path, find, hops))
        if len(hops) > MAX_JUMP_HOSTS:
            raise _too_many(path[0])


def _referenced(name: str, path: tuple[str, ...], find: Find, hops: list[Hop]) -> Hop:
    """The hop that a reference stands for; those that come before it are added to `hops`."""
    route = " -> ".join((*path, name))
    if name in path:
        raise NoWay(
            HostReason.JUMP_CYCLE,
            f"The jump hosts go round in a circle: {route}. Take one of these out of the other's spec.jumpHosts.",
        )
    if len(path) > MAX_JUMP_HOSTS:
        # Each host on the path becomes a hop itself.
        raise _too_many(path[0])
    host = find(name)
    if host is None:
        raise NoWay(
            HostReason.JUMP_HOST_NOT_FOUND,
            f"The jump host {name!r} ({route}) does not exist in this namespace: create the RemoteHost, or mend"
            f" spec.jumpHosts of {path[-1]!r}.",
        )
    if host.spec is None:
        raise NoWay(
            HostReason.JUMP_HOST_NOT_FOUND,
            f"The jump host {name!r} ({route}) can't be read: {host.invalid}. Mend that RemoteHost.",
        )
    _pass(host.spec, (*path, name), find, hops)
    return Hop(
        target=sidecar.Target(address=host.spec.address, port=host.spec.port, username=host.spec.username),
        secret=credentials_secret_name(name, host.spec),
        host_key=_of_referenced(host, host.spec.host_key, route),
        name=name,
        accepted=host.status.get("acceptedHostKey") or "",
        refusal_hint=refusal_hint(name, host.spec),
    )


def _of_referenced(host: Host, host_key: HostKey, route: str) -> sidecar.PinnedHostKeys | sidecar.AuthorityHostKeys:
    if host_key.type is not HostKeyType.TRUST_ON_FIRST_USE:
        return trusted_keys(host_key)
    pin = host.status.get("pinnedHostKey")
    if not pin:
        raise NoWay(
            HostReason.JUMP_HOST_KEY_NOT_PINNED,
            f"The key of the jump host {host.key.name!r} ({route}) is trusted on first use and was not seen yet: see"
            f" kubectl describe remotehost {host.key.name}. If that is suspended, let it connect once, or pin its key"
            " in its spec.hostKey.",
        )
    return sidecar.PinnedHostKeys(public_keys=(pin,))


def _inline(jump: JumpHost) -> Hop:
    if jump.address is None or jump.username is None or jump.auth is None or jump.host_key is None:
        raise AssertionError("the API's model holds either form in full")
    if jump.auth.secret is None:
        raise AssertionError("the API's model holds the member that type names")
    return Hop(
        target=sidecar.Target(address=jump.address, port=jump.port or 22, username=jump.username),
        secret=jump.auth.secret.name,
        host_key=trusted_keys(jump.host_key),
        name=jump.address,
    )


def _too_many(name: str) -> NoWay:
    return NoWay(
        HostReason.TOO_MANY_JUMP_HOSTS,
        f"More than {MAX_JUMP_HOSTS} servers would have to be passed on the way to {name!r}, those of referenced"
        " RemoteHosts counted: name fewer in spec.jumpHosts.",
    )
