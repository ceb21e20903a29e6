"""`python -m benchmarks`: run, print the page, keep it under benchmarks/results/."""

import asyncio

import click

from benchmarks import calls, report


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure Fairlead beside its limits. Without a command: tool calls on a private sshd of this machine."""
    if context.invoked_subcommand is None:
        page = report.calls_page(asyncio.run(calls.measure()))
        report.write("latest.md", page)
        click.echo(page)


main(prog_name="python -m benchmarks")
