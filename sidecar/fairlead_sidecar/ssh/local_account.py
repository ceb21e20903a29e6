"""The credentials of the person who runs `fairlead serve`, found as `ssh` finds them (ssh_config(5))."""

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from fairlead_sidecar.config import LocalAccount, Target
from fairlead_sidecar.errors import CredentialsInvalid

MAX_JUMPS = 8
"""A ProxyJump chain longer than this is a loop."""
_SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<username>[^@]+)@)?(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]/]+))(?::(?P<port>\d+))?/?"
)


@dataclass(frozen=True, slots=True)
class LocalHop:
    """One server on the way, as the SSH configuration describes it."""

    host: str
    port: int
    username: str
    host_key_name: str
    """The name under which `known_hosts` has it: HostKeyAlias, else the address."""
    known_hosts: list[Path]
    chooses_ciphers: bool
    is_target: bool
    offered: str
    locked: tuple[Path, ...]
    """Identity files that can't be offered, because they are encrypted and nobody gave the passphrase."""
    options: dict[str, Any]
    password: str | None = field(repr=False)


_target_passwords: list[str] = []
"""The password that the person typed for the target, at most one."""
_unlocked: dict[Path, asyncssh.SSHKey | tuple[asyncssh.SSHKey, str]] = {}
"""Keys by file; with a certificate where one lies beside it."""


def unlock(file: Path, passphrase: str) -> None:
    """Offer an encrypted identity file's key from now on, in this process only, wherever an identity is asked for.

    Raises:
        ValueError: The passphrase is wrong.
        OSError: The file can't be read.
    """
    key = asyncssh.read_private_key(file, passphrase)
    certificate = file.with_name(f"{file.name}-cert.pub")
    _unlocked[file] = (key, str(certificate)) if certificate.exists() else key


def use_password(password: str) -> None:
    """Give this password to the target from now on, in this process only; jump hosts don't get it."""
    _target_passwords[:] = [password]


def default_known_hosts() -> list[Path]:
    """The files that `ssh` reads when nothing else is configured."""
    return [
        Path("~/.ssh/known_hosts").expanduser(),
        Path("~/.ssh/known_hosts2").expanduser(),
        *map(Path, _SYSTEM_KNOWN_HOSTS),
    ]


_NEVER: dict[str, Any] = {
    "agent_forwarding": False,
    "x11_forwarding": False,
    # Empty lists: asyncssh takes an empty tuple for «as the configuration says».
    "env": [],
    "send_env": [],
    "command": None,
    "request_pty": False,
}
"""What the configuration may ask for in a person's own sessions, but an agent's must not have: the person's agent and
display (whoever works on the host could use their keys anywhere), their environment, a terminal, a fixed command."""


def resolve(target: Target, auth: LocalAccount) -> list[LocalHop]:
    """The jump hosts and the target, in the order of logging in.

    Args:
        target: Its address may be an alias of the configuration.
        auth: Which configuration and identities to use.

    Raises:
        CredentialsInvalid: The configuration or a key file can't be read.
    """
    try:
        return _chain(target.address, target.port, target.username, auth, is_target=True, depth=0)
    except asyncssh.ConfigParseError as error:
        raise CredentialsInvalid(
            f"The SSH configuration can't be read: {error}.", hint="Correct the named line."
        ) from error
    except (asyncssh.KeyImportError, OSError) as error:
        raise CredentialsInvalid(
            f"{_culprit(auth)} can't be read: {error}.", hint="Correct `-i`, or IdentityFile in the SSH configuration."
        ) from error


def _culprit(auth: LocalAccount) -> str:
    # The library's complaint about what a file holds doesn't name the file.
    for file in auth.identity_files:
        with contextlib.suppress(asyncssh.KeyEncryptionError, OSError):
            try:
                asyncssh.read_private_key(file)
            except asyncssh.KeyImportError:
                return f"The identity {file}"
    return "An identity"


def _chain(
    host: str, port: int | None, username: str | None, auth: LocalAccount, *, is_target: bool, depth: int
) -> list[LocalHop]:
    if depth > MAX_JUMPS:
        raise CredentialsInvalid(
            f"ProxyJump leads through more than {MAX_JUMPS} hosts.", hint="Take the loop out of the SSH configuration."
        )
    options = _options(host, port, username, auth, ignore_encrypted=True)
    hops: list[LocalHop] = []
    jumps = str(options.tunnel) if options.tunnel else "none"
    if jumps.lower() != "none":
        for number, jump in enumerate(jumps.split(",")):
            match = _JUMP.fullmatch(jump.strip())
            if match is None:
                raise CredentialsInvalid(f"ProxyJump {jump!r} is no [USER@]HOST[:PORT].")
            chain = _chain(
                match["ipv6"] or match["host"],
                int(match["port"]) if match["port"] else None,
                match["username"],
                auth,
                is_target=False,
                depth=depth + 1,
            )
            # Only the first jump host of a list is reached through its own ProxyJump, as with ssh.
            hops += chain if number == 0 else chain[-1:]
    return [*hops, _hop(options, auth, is_target=is_target)]


def _options(
    host: str, port: int | None, username: str | None, auth: LocalAccount, **more: Any
) -> asyncssh.SSHClientConnectionOptions:
    if auth.identity_files or _unlocked:
        # The configuration's own identities stay in use next to those of the command line.
        configured = _build(host, port, username, auth, **more)
        files = [str(file) for file in auth.identity_files if file not in _unlocked]
        more["client_keys"] = [*files, *_unlocked.values(), *(configured.client_keys or ())]
    return _build(host, port, username, auth, **more)


def _build(
    host: str, port: int | None, username: str | None, auth: LocalAccount, **more: Any
) -> asyncssh.SSHClientConnectionOptions:
    return asyncssh.SSHClientConnectionOptions(
        host=host,
        port=() if port is None else port,
        username=() if username is None else username,
        config=() if auth.ssh_config is None else [str(auth.ssh_config)],
        gss_host=None,
        **_NEVER,
        **more,
    )


def _hop(options: asyncssh.SSHClientConnectionOptions, auth: LocalAccount, *, is_target: bool) -> LocalHop:
    keys = options.client_keys or ()
    offered = [f"the keys {', '.join(_comment(key) for key in keys)}"] if keys else []
    if options.agent_path:
        offered.append("the keys of the SSH agent")
    password = _target_passwords[0] if _target_passwords and is_target else None
    if password is not None:
        offered.append("the password")
    locked = tuple(file for file in _identity_files(options, auth) if file not in _unlocked and _is_locked(file))
    return LocalHop(
        host=options.host,
        port=options.port,
        username=options.username,
        host_key_name=options.host_key_alias or options.host,
        known_hosts=_known_hosts(options),
        chooses_ciphers=options.config.get("Ciphers") is not None,
        is_target=is_target,
        offered=(
            (" and ".join(offered) or "no key at all: there is neither an agent nor a key file without passphrase")
            + (f"; not with {', '.join(map(str, locked))}, whose passphrase is not known" if locked else "")
        ),
        locked=locked,
        options={
            "config": None,
            "options": options,
            "host_key_alias": options.host_key_alias,
        },
        password=password,
    )


def _identity_files(options: asyncssh.SSHClientConnectionOptions, auth: LocalAccount) -> list[Path]:
    configured = options.config.get("IdentityFile")
    names = configured if isinstance(configured, list) else [f"~/.ssh/{name}" for name in _DEFAULT_IDENTITIES]
    return [*auth.identity_files, *(Path(str(name)).expanduser() for name in names)]


def _is_locked(file: Path) -> bool:
    try:
        asyncssh.read_private_key(file)
    except asyncssh.KeyImportError as error:
        # asyncssh has no class of its own for a missing passphrase.
        return str(error).startswith("Passphrase")
    except (OSError, ValueError):
        return False
    return False


def _comment(key: asyncssh.SSHKeyPair) -> str:
    return key.get_comment() or key.get_algorithm()


def _known_hosts(options: asyncssh.SSHClientConnectionOptions) -> list[Path]:
    configured = options.config.get("UserKnownHostsFile")
    # `none` empties the list. It never turns the check off: nothing is known then, so nothing is trusted.
    if isinstance(configured, list):
        return [Path(name).expanduser() for name in configured] + list(map(Path, _SYSTEM_KNOWN_HOSTS))
    return default_known_hosts()
