"""Write the generated files anew, or check that they are current: `python -m fairlead_api [--check]`."""

from pathlib import Path

import click

from fairlead_api.generate.files import stale, write

_ROOT = Path(__file__).parents[2]


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; print what differs and fail if anything does.")
def main(check: bool) -> None:
    """Generate the CRDs, the chart's copies of them and the reference pages from the models."""
    if not (_ROOT / "pyproject.toml").is_file():
        raise click.ClickException("this works in a checkout of the repository only")
    if not check:
        for path in write(_ROOT):
            click.echo(f"wrote {path}")
    elif difference := stale(_ROOT):
        click.echo(difference, nl=False)
        raise click.ClickException("generated files are stale: run `make generate` and commit what it writes")


if __name__ == "__main__":
    main()
