"""What `fairlead serve` was asked to do, and the sidecar configuration that follows from it."""

import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fairlead_api.quantities import format_duration
from fairlead_client.client_configs import server_name
from fairlead_client.destination import Destination
from fairlead_sidecar.config import (
    CommandPolicy,
    Endpoint,
    KnownHosts,
    Limits,
    LocalAccount,
    PathPolicy,
    Permission,
    Policy,
    SidecarConfig,
    Target,
    TokenGrant,
)

DEFAULT_LISTEN_PORT = 7422
LISTEN_ADDRESS = "127.0.0.1"
"""Never another one: a bearer token over plain HTTP belongs on no network."""
READ_ONLY = frozenset({Permission.VIEW, Permission.READ})


@dataclass(frozen=True)
class ServeOptions:
    """The command line, checked."""

    destination: Destination
    stdio: bool = False
    listen_port: int = DEFAULT_LISTEN_PORT
    """0: a free one."""
    token_file: Path | None = None
    ssh_config: Path | None = None
    """None: the user's own, where there is one."""
    identity_files: tuple[Path, ...] = ()
    known_hosts: Path | None = None
    """None: what the SSH configuration says, else the user's own."""
    allow: tuple[str, ...] = ()
    """Empty: every command."""
    deny: tuple[str, ...] = ()
    read_paths: tuple[str, ...] = ()
    """Empty: wherever the account may read."""
    write_paths: tuple[str, ...] = ()
    read_only: bool = False
    command_timeout: timedelta = timedelta(minutes=5)
    output_bytes: int = 1024 * 1024

    @property
    def name(self) -> str:
        """What clients call this server."""
        return server_name(self.destination.host)

    @property
    def permissions(self) -> frozenset[Permission]:
        """What whoever holds the token, or the other end of stdin, may do."""
        return READ_ONLY if self.read_only else frozenset(Permission)

    def stdio_arguments(self) -> tuple[str, ...]:
        """The command line, after the program, with which a client starts the same server on stdio."""
        host = f"[{self.destination.host}]" if ":" in self.destination.host else self.destination.host
        user = "" if self.destination.username is None else f"{self.destination.username}@"
        port = "" if self.destination.port is None else f":{self.destination.port}"
        defaults = ServeOptions(destination=self.destination)
        valued: list[tuple[str, object]] = [
            *(("--identity", file.absolute()) for file in self.identity_files),
            *(("--ssh-config", file.absolute()) for file in (self.ssh_config,) if file is not None),
            *(("--known-hosts", file.absolute()) for file in (self.known_hosts,) if file is not None),
            *(("--allow", pattern) for pattern in self.allow),
            *(("--deny", pattern) for pattern in self.deny),
            *(("--read-path", path) for path in self.read_paths),
            *(("--write-path", path) for path in self.write_paths),
        ]
        if self.command_timeout != defaults.command_timeout:
            valued.append(("--timeout", format_duration(self.command_timeout)))
        if self.output_bytes != defaults.output_bytes:
            valued.append(("--output-bytes", self.output_bytes))
        read_only = ("--read-only",) if self.read_only else ()
        options = tuple(f"{name}={value}" for name, value in valued)
        return ("serve", "--stdio", *read_only, *options, f"{user}{host}{port}")


def grant(token_id: str, token_sha256: str, permissions: frozenset[Permission]) -> TokenGrant:
    """What the one token of a served host may do."""
    return TokenGrant(
        id=token_id,
        uid=token_id,
        subject=_whoami(),
        secret_sha256=token_sha256,
        permissions=permissions,
        expires_at=None,
    )


def build_config(
    options: ServeOptions, target: Target, *, tokens: tuple[TokenGrant, ...], listen_port: int | None
) -> SidecarConfig:
    """The configuration that the operator would write for a RemoteHost, for this one host.

    Args:
        options: The command line.
        target: The host, with user and port as the SSH configuration gives them.
        tokens: Who is let in.
        listen_port: The port on the loopback address; None with stdio.
    """
    endpoint = Endpoint()
    if listen_port is not None:
        endpoint = Endpoint(
            public_url=f"http://{LISTEN_ADDRESS}:{listen_port}/mcp",
            allowed_hosts=(f"{LISTEN_ADDRESS}:{listen_port}", f"localhost:{listen_port}"),
        )
    return SidecarConfig(
        instance=str(uuid.uuid4()),
        namespace="local",
        name=options.name,
        endpoint=endpoint,
        target=target,
        auth=LocalAccount(ssh_config=options.ssh_config, identity_files=options.identity_files),
        host_key=KnownHosts(file=options.known_hosts),
        policy=Policy(
            commands=CommandPolicy(allow=options.allow or None, deny=options.deny),
            paths=PathPolicy(read=options.read_paths or None, write=options.write_paths or None),
        ),
        limits=Limits(command_timeout=options.command_timeout.total_seconds(), output_bytes=options.output_bytes),
        tokens=tokens,
    )


def _whoami() -> str:
    # As audit lines name it: the person on whose behalf this runs.
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid-{os.getuid()}"
