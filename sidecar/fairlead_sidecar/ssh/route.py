"""The servers to log in to on the way to a host: jump hosts first, the target last, each with its own trust."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fairlead_sidecar.config import (
    AuthorityHostKeys,
    FirstUseHostKey,
    KnownHosts,
    LocalAccount,
    PinnedHostKeys,
    SecretFiles,
    SidecarConfig,
    Target,
)
from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh import local_account
from fairlead_sidecar.ssh.credentials import ClientKey, FilesVersion, files_version, load_credentials
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys, authority_keys, known_keys, pinned_keys
from fairlead_sidecar.ssh.offered_keys import AcceptedKey, accepted
from fairlead_sidecar.ssh.totp import Totp

CIPHERS = (
    # GCM first: hardware does it, and it costs half the processor time of ChaCha20.
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)

JUMP_HOST = "jump host "
"""What messages about one begin with."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One server to log in to, the target or a jump host before it."""

    host: str
    port: int
    username: str
    trusted: TrustedHostKeys
    offered: str
    """The credentials, for messages."""
    is_target: bool
    options: dict[str, Any] = field(repr=False)
    """Further arguments of `asyncssh.connect`, secrets among them."""
    keys: tuple[ClientKey, ...] = field(default=(), repr=False)
    """Those of a Secret, in the order in which they are offered."""
    successor: AcceptedKey | None = None
    """How the server's acceptance of the first of these looks where that is to follow the others."""
    problem: LinkError | None = None
    """Why a successor that is there can't be offered."""
    password: str | None = field(default=None, repr=False)
    totp: Totp | None = None
    refusal_hint: str = ""
    """What to do where the server refuses the credentials; empty: the usual."""

    @property
    def place(self) -> str:
        """What messages call it: `address:port`, and of a jump host that it is one."""
        place = place_of(self.host, self.port)
        return place if self.is_target else f"{JUMP_HOST}{place}"


def place_of(host: str, port: int) -> str:
    """`address:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plan_hops(config: SidecarConfig) -> list[Hop]:
    """The servers to log in to, in order; the last one is the target. Reads files.

    Raises:
        LinkError: Credentials or trusted host keys are missing or can't be read.
    """
    hops = []
    for jump in config.jump_hosts:
        with _naming(jump.target):
            hops.append(secret_hop(jump.target, jump.auth, trusted_by(jump.host_key), is_target=False))
    if isinstance(config.auth, LocalAccount):
        return hops + [_local_hop(config, hop) for hop in local_account.resolve(config.target, config.auth)]
    return [*hops, secret_hop(config.target, config.auth, trusted_keys(config), is_target=True)]


def trusted_keys(config: SidecarConfig) -> TrustedHostKeys:
    """The keys that the target may present, where no SSH configuration of a person has a say.

    Raises:
        HostKeyMismatch: A pin can't be read.
    """
    if isinstance(config.host_key, KnownHosts):
        files = [config.host_key.file] if config.host_key.file else local_account.default_known_hosts()
        return known_keys(files, config.target.address, config.target.port)
    return trusted_by(config.host_key)


def credentials_version(config: SidecarConfig) -> FilesVersion:
    """A value that changes when a credential file of any hop does; cheap enough to look at every second."""
    auths = [*(jump.auth for jump in config.jump_hosts), config.auth]
    return tuple(file for auth in auths if isinstance(auth, SecretFiles) for file in files_version(auth.directory))


def trusted_by(trust: PinnedHostKeys | AuthorityHostKeys | FirstUseHostKey) -> TrustedHostKeys:
    """The keys that a server may present.

    Raises:
        HostKeyMismatch: One of the configuration can't be read.
    """
    if isinstance(trust, FirstUseHostKey):
        return TrustedHostKeys((), is_first_use=True)
    return pinned_keys(trust) if isinstance(trust, PinnedHostKeys) else authority_keys(trust)


def secret_hop(target: Target, auth: SecretFiles, trusted: TrustedHostKeys, *, is_target: bool) -> Hop:
    """A server that is logged in to with a Secret. Reads files.

    Raises:
        LinkError: The credentials are missing or can't be read.
    """
    _need_local_username()
    credentials = load_credentials(auth)
    return Hop(
        host=target.address,
        port=target.port,
        username=target.username,
        trusted=trusted,
        offered=credentials.description,
        is_target=is_target,
        password=credentials.password,
        totp=credentials.totp,
        keys=credentials.client_keys,
        successor=None if credentials.successor is None else accepted(credentials.successor),
        problem=credentials.problem,
        refusal_hint=auth.refusal_hint,
        options={
            # Nothing of the surroundings: neither ~/.ssh nor an agent.
            "config": None,
            "agent_path": None,
            # `keys` are asked for one by one. None, not an empty list: that would mean the home directory's key files.
            "client_keys": None,
            "encryption_algs": list(CIPHERS),
            # All servers can do without, and a packet of one that means harm would become a thousand times as long.
            "compression_algs": ["none"],
            # Host names have no case; the names in certificates are written in lower case.
            "host_key_alias": target.address.lower(),
        },
    )


def _local_hop(config: SidecarConfig, hop: local_account.LocalHop) -> Hop:
    trust = config.host_key
    if hop.is_target and not isinstance(trust, KnownHosts):
        trusted = trusted_by(trust)
    else:
        files = [trust.file] if isinstance(trust, KnownHosts) and trust.file else hop.known_hosts
        trusted = known_keys(files, hop.host_key_name, hop.port)
    ciphers = {} if hop.chooses_ciphers else {"encryption_algs": list(CIPHERS)}
    return Hop(
        host=hop.host,
        port=hop.port,
        username=hop.username,
        trusted=trusted,
        offered=hop.offered,
        is_target=hop.is_target,
        options={**hop.options, **ciphers},
        password=hop.password,
    )


@contextmanager
def _naming(jump: Target) -> Iterator[None]:
    """Let errors of the configuration say which jump host they are about."""
    try:
        yield
    except LinkError as error:
        raise type(error)(
            f"{JUMP_HOST}{place_of(jump.address, jump.port)}: {error.message}", hint=error.hint
        ) from error


def _need_local_username() -> None:
    # asyncssh asks for the local user's name, which a numeric container user has not.
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "fairlead"
