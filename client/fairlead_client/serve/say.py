"""What is said to the person."""

import click


def say(text: str) -> None:
    """Tell the person; standard output belongs to MCP or to the audit trail."""
    click.echo(text, err=True)
