"""`python -m benchmarks`: run, print the page, keep it under benchmarks/results/."""

import asyncio

import click

from benchmarks import calls, calls_report, cluster, cluster_report, report


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure Fairlead beside its limits. Without a command: tool calls on a private sshd of this machine."""
    if context.invoked_subcommand is None:
        _publish("latest.md", calls_report.page(asyncio.run(calls.measure())))


@main.command("cluster")
def on_cluster() -> None:
    """Measure how fast hosts become Ready and tokens die, on the test cluster that is up."""
    _publish("cluster.md", cluster_report.page(cluster.measure()))


def _publish(name: str, page: str) -> None:
    report.write(name, page)
    click.echo(page)


main(prog_name="python -m benchmarks")
