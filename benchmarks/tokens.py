"""What a host's list of tools costs an agent's context window, in tokens of o200k_base.

`python -m benchmarks.tokens [--json] [--limit TOKENS]`. Counted by npm's gpt-tokenizer, which ships its vocabulary and
is installed into a directory of its own, once.
"""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from fairlead_sidecar import schema
from fairlead_sidecar.access.grants import LOCAL_CALLER
from fairlead_sidecar.config import KnownHosts, LocalAccount, SidecarConfig, Target
from fairlead_sidecar.tools.catalogue import host_tools, offered

LIMIT = 5000
"""Most tokens that `tools/list` may cost with the groups Execute and Files."""
SCRIPT = Path(__file__).with_name("tokens.mjs")
MODULES = Path.home() / ".cache" / "fairlead" / "gpt-tokenizer-4.0.0"
PARTS = ("title", "description", "inputSchema", "outputSchema", "annotations")


def listing() -> list[dict[str, Any]]:
    """The tools of a host with all groups as `tools/list` gives them to a caller with all permissions."""
    config = SidecarConfig(
        instance="uid",
        namespace="shop",
        name="web-01",
        target=Target(address="web-01.internal", username="deploy"),
        auth=LocalAccount(),
        host_key=KnownHosts(),
    )
    tools = schema.listed(offered(host_tools(config), LOCAL_CALLER), config, LOCAL_CALLER)
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


def count(texts: Iterable[str]) -> list[int]:
    """The number of tokens of each text.

    Raises:
        FileNotFoundError: There is no node or npm.
        subprocess.CalledProcessError: The tokenizer could not be installed or run.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is needed to count tokens")
    if not (MODULES / "node_modules" / "gpt-tokenizer").is_dir():
        MODULES.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "gpt-tokenizer@4.0.0"]
        subprocess.run(install, cwd=MODULES, check=True, timeout=300)
    done = subprocess.run(
        ["node", str(SCRIPT), str(MODULES)],
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [int(number) for number in json.loads(done.stdout)]


def measure() -> dict[str, Any]:
    """The whole list's tokens, and those of each tool and its parts."""
    tools = listing()
    texts = [json.dumps(tools, ensure_ascii=False, separators=(",", ":"))]
    for tool in tools:
        texts += [_text(tool), *(_text(tool.get(part, "")) for part in PARTS)]
    total, *rest = count(texts)
    width = 1 + len(PARTS)
    rows = [rest[start : start + width] for start in range(0, len(rest), width)]
    return {
        "total": total,
        "tools": {
            tool["name"]: {"total": row[0], **dict(zip(PARTS, row[1:], strict=True))}
            for tool, row in zip(tools, rows, strict=True)
        },
    }


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--limit", default=LIMIT, show_default=True, help="Fail above so many tokens.")
def main(as_json: bool, limit: int) -> None:
    """Count what the list of tools costs."""
    measured = measure()
    if as_json:
        click.echo(json.dumps(measured, indent=1))
    else:
        click.echo(f"{'tool':22}{'total':>7}" + "".join(f"{part:>14}" for part in PARTS))
        for name, row in measured["tools"].items():
            click.echo(f"{name:22}{row['total']:7}" + "".join(f"{row[part]:14}" for part in PARTS))
        click.echo(f"{'all of tools/list':22}{measured['total']:7}")
    if measured["total"] > limit:
        raise click.ClickException(f"{measured['total']} tokens, {limit} are allowed")


if __name__ == "__main__":
    main()
