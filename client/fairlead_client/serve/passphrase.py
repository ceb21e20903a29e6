"""Asks for the passphrases of encrypted keys, and for a password, as `ssh` does; they stay in this process."""

from collections.abc import Sequence
from pathlib import Path

import click

from fairlead_sidecar.config import LocalAccount, SidecarConfig, Target
from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh import local_account

TRIES = 3
"""As `ssh` allows (NumberOfPasswordPrompts)."""


def locked_identities(config: SidecarConfig) -> Sequence[Path]:
    """The key files on the way to the target that are encrypted and not unlocked yet."""
    if not isinstance(config.auth, LocalAccount):
        return ()
    try:
        hops = local_account.resolve(config.target, config.auth)
    except LinkError:
        return ()
    return tuple(dict.fromkeys(file for hop in hops for file in hop.locked))


def unlock(files: Sequence[Path]) -> bool:
    """Ask the person for the passphrase of each file; an empty answer passes over it.

    Returns:
        Whether any key was unlocked.

    Raises:
        click.Abort: Ctrl-C.
    """
    unlocked = [file for file in files if _unlock(file)]
    return bool(unlocked)


def ask_password(target: Target) -> bool:
    """Ask the person for the account's password, which is then offered to the target; an empty answer offers none.

    Returns:
        Whether there is one to try.

    Raises:
        click.Abort: Ctrl-C.
    """
    question = f"Password for {target.username}@{target.address} (Enter for none)"
    password = click.prompt(question, default="", show_default=False, hide_input=True, err=True)
    if password:
        local_account.use_password(password)
    return bool(password)


def _unlock(file: Path) -> bool:
    for _ in range(TRIES):
        passphrase = click.prompt(f"Passphrase for {file}", default="", show_default=False, hide_input=True, err=True)
        if not passphrase:
            return False
        try:
            local_account.unlock(file, passphrase)
        except (ValueError, OSError):
            click.echo("That does not open the key.", err=True)
        else:
            return True
    return False
