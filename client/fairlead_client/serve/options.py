"""What `fairlead serve` was asked to do, and the sidecar configuration that follows from it."""

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fairlead_api.quantities import format_duration
from fairlead_client.client_configs import server_name
from fairlead_client.destination import Destination
from fairlead_client.serve.host_file import (
    HostFile,
    HostFileError,
    Said,
    Secrets,
    describe,
    environment,
    groups,
    limits,
    policy,
)
from fairlead_client.serve.mcp_servers import mcp_servers
from fairlead_client.serve.servers_file import ServersFile
from fairlead_sidecar.config import (
    Endpoint,
    KnownHosts,
    LocalAccount,
    Permission,
    SidecarConfig,
    Target,
    TokenGrant,
)

DEFAULT_LISTEN_PORT = 7422
LISTEN_ADDRESS = "127.0.0.1"
"""Never another one: a bearer token over plain HTTP belongs on no network."""


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
    variables: tuple[str, ...] = ()
    """`NAME=VALUE`, or `NAME` for what the variable is where `fairlead` runs."""
    working_directory: str | None = None
    """None: what the file says, else the account's home."""
    sudo: bool = False
    """Whether commands may run as root with sudo, which must ask for no password."""
    command_timeout: timedelta | None = None
    """None: what the file says, else the default of RemoteHosts."""
    output_bytes: int | None = None
    """None: as above."""
    host_file: Path | None = None
    """Says what a RemoteHost's spec says: environment, tools, policy, limits, MCP servers."""
    servers_file: Path | None = None
    """The file of MCP servers that a client has."""
    secrets: Path | None = None
    """Directory with the values that the file names as keys of Secrets."""

    @property
    def name(self) -> str:
        """What clients call this server."""
        return server_name(self.destination.host)

    def describe_host(self, own: Mapping[str, str]) -> HostFile:
        """What the command line and its file say of the host.

        Args:
            own: The environment that `fairlead` runs in.

        Raises:
            HostFileError: It can't be used.
        """
        said = (
            ("--read-only", ("policy", "readOnly"), self.read_only or None),
            ("--allow", ("policy", "commands", "allow"), self.allow or None),
            ("--deny", ("policy", "commands", "deny"), self.deny or None),
            ("--read-path", ("policy", "paths", "read"), self.read_paths or None),
            ("--write-path", ("policy", "paths", "write"), self.write_paths or None),
            ("--sudo", ("policy", "sudo"), {"type": "Passwordless"} if self.sudo else None),
            ("--env", ("environment", "variables"), [variable(text, own) for text in self.variables] or None),
            ("--workdir", ("environment", "workingDirectory"), self.working_directory),
            ("--timeout", ("limits", "commandTimeout"), self.command_timeout),
            ("--output-bytes", ("limits", "outputBytes"), self.output_bytes),
            ("--mcp-servers", ("mcpServers",), self._said_by_servers_file(own)[0] or None),
        )
        return describe(self.host_file, (Said(*some) for some in said if some[2] is not None))

    def check(self, own: Mapping[str, str]) -> Sequence[str]:
        """See that what is said of the host can be used, before anything begins.

        Returns:
            What is passed over, for the person to know.

        Raises:
            HostFileError: It can't.
        """
        described, secrets = self.describe_host(own), Secrets(self.secrets)
        policy(described, secrets.value)
        environment(described, secrets.value)
        mcp_servers(described, secrets)
        return self._said_by_servers_file(own)[1]

    def _said_by_servers_file(self, own: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
        if self.servers_file is None:
            return [], []
        said = ServersFile(self.servers_file, own)
        return said.servers, [f"{self.servers_file}: {note}" for note in said.notes]

    def stdio_arguments(self) -> tuple[str, ...]:
        """The command line, after the program, with which a client starts the same server on stdio."""
        host = f"[{self.destination.host}]" if ":" in self.destination.host else self.destination.host
        user = "" if self.destination.username is None else f"{self.destination.username}@"
        port = "" if self.destination.port is None else f":{self.destination.port}"
        valued: list[tuple[str, object]] = [
            *(("--identity", file.absolute()) for file in self.identity_files),
            *(("--ssh-config", file.absolute()) for file in (self.ssh_config,) if file is not None),
            *(("--known-hosts", file.absolute()) for file in (self.known_hosts,) if file is not None),
            *(("--config", file.absolute()) for file in (self.host_file,) if file is not None),
            *(("--mcp-servers", file.absolute()) for file in (self.servers_file,) if file is not None),
            *(("--secrets", directory.absolute()) for directory in (self.secrets,) if directory is not None),
            *(("--allow", pattern) for pattern in self.allow),
            *(("--deny", pattern) for pattern in self.deny),
            *(("--read-path", path) for path in self.read_paths),
            *(("--write-path", path) for path in self.write_paths),
            *(("--env", text) for text in self.variables),
        ]
        if self.working_directory is not None:
            valued.append(("--workdir", self.working_directory))
        if self.command_timeout is not None:
            valued.append(("--timeout", format_duration(self.command_timeout)))
        if self.output_bytes is not None:
            valued.append(("--output-bytes", self.output_bytes))
        switches = (("--read-only", self.read_only), ("--sudo", self.sudo))
        options = (*(name for name, given in switches if given), *(f"{name}={value}" for name, value in valued))
        return ("serve", "--stdio", *options, f"{user}{host}{port}")


def variable(text: str, own: Mapping[str, str]) -> dict[str, str]:
    """A variable of commands, from `NAME=VALUE`, or from `NAME` and the environment that `fairlead` runs in.

    Raises:
        HostFileError: There is no such variable.
    """
    name, given, value = text.partition("=")
    if not given and name not in own:
        raise HostFileError(f"--env {name}: there is no such variable here; give its value with {name}=VALUE")
    return {"name": name, "value": value if given else own[name]}


def grant(token_id: str, token_sha256: str) -> TokenGrant:
    """The one token of a served host: it may do whatever the host's policy lets anybody do."""
    return TokenGrant(
        id=token_id,
        uid=token_id,
        subject=_whoami(),
        secret_sha256=token_sha256,
        permissions=frozenset(Permission),
        expires_at=None,
    )


def build_config(
    options: ServeOptions,
    target: Target,
    *,
    tokens: tuple[TokenGrant, ...],
    listen_port: int | None,
    own: Mapping[str, str] = os.environ,
) -> SidecarConfig:
    """The configuration that the operator would write for a RemoteHost, for this one host.

    Args:
        options: The command line.
        target: The host, with user and port as the SSH configuration gives them.
        tokens: Who is let in.
        listen_port: The port on the loopback address; None with stdio.
        own: The environment that `fairlead` runs in.

    Raises:
        HostFileError: What is said of the host can't be used.
    """
    described, secrets = options.describe_host(own), Secrets(options.secrets)
    endpoint = Endpoint()
    if listen_port is not None:
        endpoint = Endpoint(
            public_url=f"http://{LISTEN_ADDRESS}:{listen_port}/mcp",
            allowed_hosts=(f"{LISTEN_ADDRESS}:{listen_port}", f"localhost:{listen_port}"),
        )
    return SidecarConfig(
        instance=_instance(target),
        namespace="local",
        name=options.name,
        endpoint=endpoint,
        target=target,
        auth=LocalAccount(ssh_config=options.ssh_config, identity_files=options.identity_files),
        host_key=KnownHosts(file=options.known_hosts),
        environment=environment(described, secrets.value),
        groups=groups(described),
        policy=policy(described, secrets.value),
        limits=limits(described, secrets.value),
        mcp_servers=mcp_servers(described, secrets),
        tokens=tokens,
    )


def _instance(target: Target) -> str:
    # The same each time that this person serves this account from here: by it the next one finds and ends what one
    # that was killed left running on the host.
    here = f"{socket.gethostname()}/{os.getuid()}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ssh://{target.username}@{target.address}:{target.port}#{here}"))


def _whoami() -> str:
    # As audit lines name it: the person on whose behalf this runs.
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid-{os.getuid()}"
