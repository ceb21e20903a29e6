"""The `fairlead` command; as `kubectl-fairlead` on the PATH it is `kubectl fairlead` too."""

import click

from fairlead_sidecar import lazy_modules

lazy_modules.install()

from fairlead_client.connect.command import connect  # noqa: E402 - what it imports is lazy from here on
from fairlead_client.serve.command import serve  # noqa: E402 - what it imports is lazy from here on


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fairlead", message="fairlead %(version)s")
def main() -> None:
    """SSH hosts as MCP endpoints for AI agents."""


main.add_command(serve)
main.add_command(connect)
