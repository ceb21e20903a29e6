"""The command line of `fairlead serve`: reads and checks it; the sidecar's libraries are loaded only after that."""

import gc
import importlib.util
import os
import posixpath
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from fairlead_api.host_policy import Limits
from fairlead_api.quantities import format_bytes, format_duration
from fairlead_client.destination import Destination
from fairlead_client.serve.host_file import HostFileError, pattern_problem
from fairlead_client.serve.options import DEFAULT_LISTEN_PORT, ServeOptions

NEEDED = ("asyncssh", "mcp", "prometheus_client", "starlette", "uvicorn")
"""The libraries of the extra `sidecar` that the base installation lacks."""
MISSING_EXTRA = "fairlead: serving a host needs libraries that are not installed: pip install 'fairlead[sidecar]'"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LIMITS = Limits()


class _Limit(click.ParamType[Any]):
    """A limit as a RemoteHost has it: the same form, the same bounds."""

    def __init__(self, field: str, name: str) -> None:
        self.field = field
        self.name = name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Read and check it."""
        if value is None or not isinstance(value, str):
            return value
        try:
            limits = Limits.model_validate({self.field: value})
        except ValidationError as error:
            self.fail(f"{value}: {error.errors()[0]['msg'].removeprefix('Value error, ')}", param, ctx)
        return getattr(limits, self.field)


def _destination(_context: click.Context, _parameter: click.Parameter, value: str) -> Destination:
    try:
        return Destination.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _patterns(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in value:
        if problem := pattern_problem(pattern):
            msg = f"{pattern!r} is no RE2 pattern: {problem}"
            raise click.BadParameter(msg)
    return value


def _directories(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for path in value:
        if not path.startswith("/") or ".." in path.split("/"):
            msg = f"{path!r} is not absolute: it is a directory on the host, like /srv"
            raise click.BadParameter(msg)
    return tuple("/" + posixpath.normpath(path).lstrip("/") for path in value)


def _directory(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else _directories(context, parameter, (value,))[0]


@click.command(short_help="Serve one SSH host as an MCP server, without a cluster.")
@click.argument("destination", callback=_destination, metavar="[USER@]HOST[:PORT]")
@click.option("--stdio", is_flag=True, help="Speak MCP on stdin and stdout instead of HTTP; logs go to stderr.")
@click.option(
    "--listen-port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_LISTEN_PORT,
    show_default=True,
    metavar="PORT",
    help="Port on 127.0.0.1 for HTTP; 0 takes a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the token in this file (mode 0600) and reuse it. Without: $FAIRLEAD_TOKEN, else a new one each time.",
)
@click.option("-p", "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Port of the SSH server.")
@click.option("-i", "--identity", type=_FILE, multiple=True, help="Private key to log in with; may be repeated.")
@click.option("-F", "--ssh-config", type=_FILE, help="SSH configuration to read instead of ~/.ssh/config.")
@click.option("--known-hosts", type=_FILE, help="Trusted host keys, instead of ~/.ssh/known_hosts.")
@click.option("--read-only", is_flag=True, help="Only tools that change nothing.")
@click.option("--sudo", is_flag=True, help="Let commands run as root with sudo, which must not ask for a password.")
@click.option(
    "--allow", multiple=True, metavar="RE2", callback=_patterns, help="Pattern of commands that may run; no others may."
)
@click.option("--deny", multiple=True, metavar="RE2", callback=_patterns, help="Pattern of commands that may not run.")
@click.option(
    "--read-path", multiple=True, metavar="DIR", callback=_directories, help="Directory that files may be read from."
)
@click.option(
    "--write-path", multiple=True, metavar="DIR", callback=_directories, help="Directory that files may be written to."
)
@click.option(
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Variable of every command. Without a value: the one it has here, which keeps it off the command line.",
)
@click.option("--workdir", metavar="DIR", callback=_directory, help="Directory on the host that commands start in.")
@click.option(
    "--timeout",
    type=_Limit("command_timeout", "duration"),
    show_default=format_duration(_LIMITS.command_timeout),
    help="Longest that one command may run before it is killed.",
)
@click.option(
    "--output-bytes",
    type=_Limit("output_bytes", "size"),
    show_default=format_bytes(_LIMITS.output_bytes),
    help="Most of stdout and of stderr that one result carries, each.",
)
@click.option(
    "--config",
    type=_FILE,
    help="YAML or JSON file with environment, tools, policy, limits and mcpServers, as in the spec of a RemoteHost.",
)
@click.option(
    "--mcp-servers",
    type=_FILE,
    help='MCP servers to start on the host: a file {"mcpServers": {NAME: {command, args, env}}} as clients have it.',
)
@click.option(
    "--secrets",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory that stands for the Secrets that --config names: <name>/<key> holds a value.",
)
@click.pass_context
def serve(context: click.Context, /, destination: Destination, port: int | None, **flags: Any) -> None:
    """Serve one SSH host as an MCP server, without a cluster.

    HOST is a name, an address or an alias of your SSH configuration. It is reached as `ssh` reaches it: ssh-agent, the
    keys in ~/.ssh, known_hosts, ~/.ssh/config with ProxyJump. The host's key must be known: there is no switch to skip
    that check.

    \b
      fairlead serve deploy@web-01             HTTP on 127.0.0.1 with a token;
                                               prints what to paste into clients
      fairlead serve --stdio deploy@web-01     for clients that start it themselves
      fairlead serve --read-only web-01        nothing that changes the host
      fairlead serve --allow '^systemctl status [a-z-]+$' web-01
      fairlead serve --config web-01.yaml web-01
                                               policy, named commands, limits
      fairlead serve --mcp-servers servers_config.json web-01
                                               with the MCP servers that live there

    Options that take a pattern, a directory or a key may be repeated.
    """
    if port is not None:
        if destination.port not in (None, port):
            msg = f"the destination says port {destination.port}, --port says {port}: leave one out"
            raise click.UsageError(msg)
        destination = Destination(destination.host, destination.username, port)
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        click.echo(MISSING_EXTRA, err=True)
        context.exit(2)
    options = ServeOptions(
        destination=destination,
        stdio=flags["stdio"],
        listen_port=flags["listen_port"],
        token_file=flags["token_file"],
        ssh_config=flags["ssh_config"],
        identity_files=flags["identity"],
        known_hosts=flags["known_hosts"],
        allow=flags["allow"],
        deny=flags["deny"],
        read_paths=flags["read_path"],
        write_paths=flags["write_path"],
        read_only=flags["read_only"],
        variables=flags["env"],
        working_directory=flags["workdir"],
        sudo=flags["sudo"],
        command_timeout=flags["timeout"],
        output_bytes=flags["output_bytes"],
        host_file=flags["config"],
        servers_file=flags["mcp_servers"],
        secrets=flags["secrets"],
    )
    try:
        notes = options.check(os.environ)
    except HostFileError as error:
        raise click.UsageError(str(error)) from error
    for note in notes:
        click.echo(f"fairlead: {note}", err=True)
    # Until everything is loaded: what is imported all stays.
    gc.disable()
    # Lazily: the base installation has neither asyncssh nor an MCP server, and `fairlead --help` stays quick.
    from fairlead_client.serve.run import run  # noqa: PLC0415 - needs the extra

    context.exit(run(options))
