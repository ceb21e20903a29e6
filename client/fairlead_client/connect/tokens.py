"""Where the bearer token comes from: a file, an environment variable, or the system's keyring; never an argument."""

import importlib.util
import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead_client.client_configs import TOKEN_VARIABLE
from fairlead_client.connect.errors import ConnectError

KEYRING_SERVICE = "fairlead"
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LONGEST = 64 * 1024


@dataclass(frozen=True)
class TokenSource:
    """A place that holds a token, or (`read` gives None) the absence of one."""

    name: str
    """What messages call it."""
    read: Callable[[], str | None]
    """Reads it anew: a token may have been replaced meanwhile.

    Raises:
        ConnectError: It can't be read, or holds no token.
    """


def find(file: Path | None, variable: str | None, account: str, environment: Mapping[str, str]) -> TokenSource:
    """The first of: `file`, the variable (FAIRLEAD_TOKEN unless another is named), the keyring, nothing.

    Args:
        file: Holds the token and nothing else.
        variable: The variable's name, where one was asked for.
        account: The keyring's account: the endpoint's URL.
        environment: Of this process.

    Raises:
        ConnectError: What was asked for is not there.
    """
    if file is not None:
        return TokenSource(f"the file {file}", lambda: _from_file(file))
    name = variable or TOKEN_VARIABLE
    if environment.get(name):
        token = _checked(environment[name], f"the variable {name}")
        return TokenSource(f"the variable {name}", lambda: token)
    if variable:
        msg = f"the variable {variable}, which --token-env names, is not set where fairlead runs"
        raise ConnectError(msg)
    return TokenSource(f"the keyring (service {KEYRING_SERVICE}, account {account})", lambda: _from_keyring(account))


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            # Of the opened file, not of the name: nothing can be exchanged in between.
            status = os.fstat(stream.fileno())
            content = stream.read(_LONGEST)
    except OSError as error:
        msg = f"the token file {file} can't be read: {error.strerror}"
        raise ConnectError(msg) from error
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        msg = f"the token file {file} is open to other users: chmod 600 {shlex.quote(str(file))}"
        raise ConnectError(msg)
    return _checked(content.decode("ascii", "replace"), f"the file {file}")


def _from_keyring(account: str) -> str | None:
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring  # noqa: PLC0415 - an extra, and slow: only where no other source has a token
    from keyring.errors import KeyringError, NoKeyringError  # noqa: PLC0415 - as above

    try:
        token = keyring.get_password(KEYRING_SERVICE, account)
    except NoKeyringError:
        return None
    except KeyringError as error:
        msg = f"the keyring can't be read ({error}): unlock it, or give the token with --token-file"
        raise ConnectError(msg) from error
    return None if token is None else _checked(token, "the keyring")


def _checked(text: str, holder: str) -> str:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        msg = f"{holder} holds no token: it should hold the token alone"
        raise ConnectError(msg)
    return token
