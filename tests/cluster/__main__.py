"""The cluster's commands: `python -m tests.cluster COMMAND`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict

import click

from tests.cluster import build, choose, current, kind, own, packages
from tests.cluster.console import ClusterError, say
from tests.cluster.images import load
from tests.cluster.images.catalogue import IMAGES
from tests.cluster.state import Kind, State

_CLUSTERS = {"own": own, "kind": kind, "current": current}


@click.group(help=__doc__)
def main() -> None:
    """Keep the group; its help is the module's."""


@main.command()
def up() -> None:
    """Bring the cluster up, or repair it. CLUSTER=own|kind|current chooses the kind."""
    state = State.of_checkout()
    wanted, present = os.environ.get("CLUSTER", ""), _kind_of(state)
    if present and wanted in {"", present}:
        choice = choose.Choice(present, "it is there already")
    elif present:
        raise ClusterError(
            f"a cluster of the kind {present} is up: run `make cluster-down` first, or set CLUSTER={present}"
        )
    else:
        choice = choose.choose(wanted)
    say(f"==> cluster: {choice.kind}, because {choice.reason}")
    description = _CLUSTERS[choice.kind].up(state)
    say(f"The cluster is up. Ingress: {description.ingress_url or 'unknown; set FAIRLEAD_INGRESS_URL'}")
    say('For kubectl and helm in this shell: eval "$(make -s cluster-env)"')


@main.command()
def choice() -> None:
    """Print which kind of cluster `up` would choose here."""
    click.echo(choose.choose(os.environ.get("CLUSTER", "")).kind)


@main.command()
def down() -> None:
    """Remove every trace of the cluster but the cache of binaries and images."""
    state = State.of_checkout()
    if state.root.exists():
        _CLUSTERS[_kind_of(state) or "own"].down(state)
    else:
        say("==> no cluster is up")


@main.command()
def env() -> None:
    """Print shell exports for kubectl, helm and the tests."""
    description = State.of_checkout().describe()
    for name, value in description.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f"export PATH={shlex.quote(':'.join(description.path))}:$PATH")


@main.command()
def describe() -> None:
    """Print the description of the cluster as JSON."""
    click.echo(json.dumps(asdict(State.of_checkout().describe()), indent=2))


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([image.name for image in IMAGES]))
def images(names: tuple[str, ...]) -> None:
    """Build the images (all, or those named), load them into the cluster, and print their references as JSON."""
    wanted = [image for image in IMAGES if not names or image.name in names]
    click.echo(json.dumps(load.ensure(State.of_checkout(), wanted), indent=2))


@main.command()
def binaries() -> None:
    """Build the own cluster's programs into the cache."""
    if not build.missing():
        say("==> all binaries are in the cache")
    build.ensure()


@main.command()
def ssh_packages() -> None:
    """Install OpenSSH where it is missing: what the integration tests run against."""
    packages.ensure(packages.SSH)


def _kind_of(state: State) -> Kind | None:
    try:
        return state.describe().kind
    except ClusterError:
        return None


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        say(f"error: {error}")
        sys.exit(1)
