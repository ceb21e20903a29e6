"""The SSH server behind a destination, as the person's SSH configuration has it."""

from pathlib import Path

import asyncssh

from fairlead_client.destination import Destination
from fairlead_sidecar.config import Target


class SshConfigError(Exception):
    """The SSH configuration can't be read; the message has file and line where they are known."""


def resolve(destination: Destination, ssh_config: Path | None) -> Target:
    """User and port, from the command line, else the configuration, else as `ssh` defaults them.

    The address stays what was typed: the link looks up the rest (HostName, IdentityFile, ProxyJump) under that name.

    Raises:
        SshConfigError: The configuration is malformed.
    """
    try:
        options = asyncssh.SSHClientConnectionOptions(
            host=destination.host,
            port=destination.port if destination.port is not None else (),
            username=destination.username if destination.username is not None else (),
            config=[str(ssh_config)] if ssh_config is not None else (),
            client_keys=None,  # only names are looked up here
        )
    except asyncssh.ConfigParseError as error:
        msg = f"the SSH configuration can't be read: {error}"
        raise SshConfigError(msg) from error
    except OSError as error:
        msg = f"the SSH configuration can't be read: {error.filename}: {error.strerror}"
        raise SshConfigError(msg) from error
    return Target(address=destination.host, port=options.port, username=options.username)
