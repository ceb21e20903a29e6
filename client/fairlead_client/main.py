"""The `fairlead` command; as `kubectl-fairlead` on the PATH it is `kubectl fairlead` too."""

import click

from fairlead_client.serve.command import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fairlead", message="fairlead %(version)s")
def main() -> None:
    """SSH hosts as MCP endpoints for AI agents."""


main.add_command(serve)
