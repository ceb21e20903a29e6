"""`python -m benchmarks`: run, print the page, keep it under benchmarks/results/."""

import asyncio
import logging
import signal
import sys

import click

from benchmarks import cluster, cluster_report, report, run
from benchmarks.page import page


@click.group(invoke_without_command=True)
@click.option("--only", default="", help=f"Sections to run, comma separated, of: {', '.join(run.SECTIONS)}.")
@click.option("--without-peers", is_flag=True, help="Leave the peers out (and do not install them).")
@click.option("--quick", is_flag=True, help="Small counts: to see that everything works.")
@click.pass_context
def main(context: click.Context, only: str, without_peers: bool, quick: bool) -> None:
    """Measure Fairlead beside its limits and its peers. Without a command: on a private sshd of this machine.

    Ends with 1 when something could not be measured; a missed target is a result like any other. A run of some
    sections, without peers or with small counts is printed and not kept.
    """
    if context.invoked_subcommand is not None:
        return
    sections = tuple(name for name in only.split(",") if name) or tuple(run.SECTIONS)
    if unknown := set(sections) - set(run.SECTIONS):
        msg = f"--only: no such section: {', '.join(sorted(unknown))}"
        raise click.UsageError(msg)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end with it
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it complains of answers that come after the end of a round
    results, problems = asyncio.run(run.measure(sections, peers=not without_peers, quick=quick))
    text = page(results, problems, quick=quick, peers=not without_peers)
    if not (only or without_peers or quick):
        report.write("latest.md", text)
    click.echo(text)
    if problems:
        sys.exit(1)


@main.command("cluster")
def on_cluster() -> None:
    """Measure how fast hosts become Ready and tokens die, on the test cluster that is up."""
    text = cluster_report.page(cluster.measure())
    report.write("cluster.md", text)
    click.echo(text)


main(prog_name="python -m benchmarks")
