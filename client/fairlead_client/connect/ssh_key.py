"""The private key to log in with: checked, made where there is none, unlocked with its passphrase."""

import os
import shlex
import stat
import sys
from pathlib import Path

import asyncssh
import click

from fairlead_client.connect.errors import ConnectError
from fairlead_client.connect.run import say
from fairlead_sidecar.ssh import local_account

TRIES = 3
"""As `ssh` allows (NumberOfPasswordPrompts)."""


def prepare(file: Path, passphrase_file: Path | None) -> str:
    """Make the key ready to log in with.

    Args:
        file: The key; made as Ed25519 where it does not exist, with its public half beside it.
        passphrase_file: Holds the passphrase of the key, also of one that is made; None: asked for at a terminal.

    Returns:
        Its public half, as `authorized_keys` takes it.

    Raises:
        ConnectError: The key can't be made or used.
    """
    passphrase = None if passphrase_file is None else _passphrase(passphrase_file)
    try:
        if not file.exists():
            _make(file, passphrase)
        _check(file)
        key = _unlocked(file, passphrase)
    except OSError as error:
        msg = f"the key {file} can't be used: {error.strerror}"
        raise ConnectError(msg) from error
    return key.export_public_key().decode().strip()


def _make(file: Path, passphrase: str | None) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="fairlead connect")
    _write(file, key.export_private_key("openssh", passphrase=passphrase), 0o600)
    public = key.export_public_key()
    _write(file.with_name(f"{file.name}.pub"), public, 0o644)
    say(f"Made the key {file}. The server has to know its public half (authorized_keys):\n{public.decode().strip()}")


def _write(file: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as stream:
        stream.write(content)


def _check(file: Path) -> None:
    status = file.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        msg = f"the key {file} is open to other users: chmod 600 {shlex.quote(str(file))}"
        raise ConnectError(msg)


def _unlocked(file: Path, passphrase: str | None) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(file)
    except asyncssh.KeyImportError as error:
        # asyncssh has no class of its own for a missing passphrase.
        if not str(error).startswith("Passphrase"):
            msg = f"the key {file} can't be read: {error}"
            raise ConnectError(msg) from error
    if passphrase is not None:
        return _unlock(file, passphrase)
    if not sys.stdin.isatty():
        msg = f"the key {file} has a passphrase: give it with --passphrase-file, or load the key into ssh-agent"
        raise ConnectError(msg)
    for _ in range(TRIES - 1):
        try:
            return _unlock(file, _ask(file))
        except ConnectError as error:
            say(str(error))
    return _unlock(file, _ask(file))


def _ask(file: Path) -> str:
    answer: str = click.prompt(f"Passphrase for {file}", default="", show_default=False, hide_input=True, err=True)
    return answer


def _unlock(file: Path, passphrase: str) -> asyncssh.SSHKey:
    try:
        local_account.unlock(file, passphrase)
        return asyncssh.read_private_key(file, passphrase)
    except (ValueError, asyncssh.KeyEncryptionError) as error:
        msg = f"the passphrase does not open the key {file}"
        raise ConnectError(msg) from error


def _passphrase(file: Path) -> str:
    try:
        status = file.stat()
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the passphrase file {file} can't be read: {error}"
        raise ConnectError(msg) from error
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        msg = f"the passphrase file {file} is open to other users: chmod 600 {shlex.quote(str(file))}"
        raise ConnectError(msg)
    return text.removesuffix("\n")
