"""What the list of tools costs an agent's context window."""

import asyncio

from benchmarks import tokens
from benchmarks.rows.section import Result, at_most
from benchmarks.stage import Stage


async def measure(stage: Stage) -> Result:
    """Count it; the list is the same whoever the host is."""
    counted = await asyncio.to_thread(tokens.measure)
    stage.say(f"{counted['total']} tokens")
    return Result(
        title="`tools/list`",
        text="Tokens (o200k_base) of the groups Execute and Files, descriptions and schemas included.",
        header=("tool", "tokens"),
        rows=(
            *((name, str(parts["total"])) for name, parts in counted["tools"].items()),
            ("**all of `tools/list`**", str(counted["total"])),
        ),
        targets=(at_most("`tools/list`, Execute and Files", tokens.LIMIT, [counted["total"]], " tokens", 0),),
    )
