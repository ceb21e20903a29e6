"""The command line of `fairlead connect`: reads and checks it; what speaks HTTP or SSH is loaded only after that."""

import importlib.util
from pathlib import Path

import click

from fairlead_client.connect.errors import ConnectError
from fairlead_client.destination import Destination

_FILE = click.Path(dir_okay=False, path_type=Path)
MISSING_SSH = "fairlead: connecting over SSH needs a library that is not installed: pip install 'fairlead[ssh]'"
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


def _headers(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in values:
        name, given, value = text.partition("=")
        if not given or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            msg = f"{text!r} is no NAME=VALUE"
            raise click.BadParameter(msg)
        if name.lower() in _SECRET_HEADERS:
            msg = f"{name} holds a secret, and others see the arguments of a program: see --token-file"
            raise click.BadParameter(msg)
        headers[name] = value
    return headers


@click.command(short_help="Connect a client that speaks MCP on stdio to an endpoint at a URL, or behind SSH.")
@click.argument("url", metavar="URL")
@click.argument("remote_command", nargs=-1, metavar="[-- COMMAND...]")
@click.option("--token-file", type=_FILE, help="File that holds the bearer token; read again when it is refused.")
@click.option(
    "--token-env",
    metavar="NAME",
    help="Environment variable that holds the token. Without either: $FAIRLEAD_TOKEN, else the system's keyring.",
)
@click.option("--header", multiple=True, metavar="NAME=VALUE", callback=_headers, help="Further header; no secrets.")
@click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, max=3600),
    default=25.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a request waits for an endpoint that is away.",
)
@click.option(
    "--client-key", type=_FILE, help="ssh: private key to log in with, made if it is not there. Without: as `ssh` does."
)
@click.option("--passphrase-file", type=_FILE, help="ssh: file that holds the key's passphrase. Without: asked for.")
@click.option("--known-hosts", type=_FILE, help="ssh: trusted host keys, instead of ~/.ssh/known_hosts.")
@click.option("--use-key-server", is_flag=True, help="ssh: exchange keys with m2m's key server at http://HOST:8000.")
@click.option("--key-server", metavar="URL", help="ssh: the same with a key server elsewhere.")
@click.pass_context
def connect(
    context: click.Context,
    /,
    url: str,
    remote_command: tuple[str, ...],
    *,
    token_file: Path | None,
    token_env: str | None,
    header: dict[str, str],
    connect_timeout: float,
    client_key: Path | None,
    passphrase_file: Path | None,
    known_hosts: Path | None,
    use_key_server: bool,
    key_server: str | None,
) -> None:
    """Connect a client that speaks MCP on stdio to an endpoint at a URL, or behind SSH.

    MCP is on stdin and stdout, everything else on stderr. What the client and the endpoint say to each other passes
    unchanged. There is no switch to skip the check of a host key or of a certificate.

    \b
      fairlead connect https://mcp.example.com/shop/web-01/mcp
                               any Streamable HTTP endpoint; waits for it and
                               begins again when it is restarted
      fairlead connect ssh://mcp@host:8022
                               an SSH server that speaks MCP in its session
      fairlead connect ssh://ada@web-01 -- uvx mcp-server-git
                               a command that does
    """
    over_ssh = url.startswith("ssh://")
    _check_options(context, "ssh://" if over_ssh else "a URL of HTTP", _ONLY_HTTP if over_ssh else _ONLY_SSH)
    try:
        if over_ssh:
            destination = _destination(url)
            if importlib.util.find_spec("asyncssh") is None:
                click.echo(MISSING_SSH, err=True)
                context.exit(2)
            from fairlead_client.connect import ssh  # noqa: PLC0415 - needs the extra
            from fairlead_client.connect.key_server import default_url  # noqa: PLC0415 - as above

            keys_from = key_server or (default_url(destination.host) if use_key_server else None)
            code = ssh.run(
                ssh.SshOptions(
                    destination=destination,
                    command=remote_command,
                    client_key=client_key,
                    passphrase_file=passphrase_file,
                    known_hosts=known_hosts,
                    key_server=keys_from,
                    connect_timeout=connect_timeout,
                )
            )
        else:
            from fairlead_client.connect import run as http  # noqa: PLC0415 - `fairlead --help` stays quick

            code = http.run(url, token_file, token_env, header, connect_timeout)
    except ConnectError as error:
        click.echo(f"fairlead: {error}", err=True)
        code = 1
    context.exit(code)


def _destination(text: str) -> Destination:
    try:
        return Destination.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error


_ONLY_HTTP = ("token_file", "token_env", "header")
_ONLY_SSH = ("remote_command", "client_key", "passphrase_file", "known_hosts", "use_key_server", "key_server")


def _check_options(context: click.Context, kind: str, useless: tuple[str, ...]) -> None:
    for name in useless:
        if context.params.get(name):
            what = "a COMMAND" if name == "remote_command" else f"--{name.replace('_', '-')}"
            msg = f"{what} means nothing for {kind}"
            raise click.UsageError(msg)
