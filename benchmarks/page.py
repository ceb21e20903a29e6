"""The page of `python -m benchmarks`."""

from collections.abc import Sequence

from benchmarks.fairlead import FAIRLEAD
from benchmarks.report import circumstances, met
from benchmarks.rows.section import Result
from benchmarks.stage import MAX_SESSIONS
from benchmarks.stats import table


def page(results: Sequence[Result], problems: Sequence[str], *, quick: bool, peers: bool) -> str:
    """Markdown: the targets first, then every section."""
    parts = ["# Fairlead beside its limits and its peers", circumstances(), _method()]
    if quick:
        parts.append("**A quick run with small counts: it shows that everything works, and measures nothing.**")
    if problems:
        parts.append("**Could not be measured:**\n\n" + "\n".join(f"- {problem}" for problem in problems))
    parts += ["## Targets", _targets(results, peers=peers)]
    parts += [result.page() for result in results]
    return "\n\n".join(parts) + "\n"


def _method() -> str:
    return (
        f"One run against one private OpenSSH server on loopback (MaxSessions {MAX_SESSIONS}, login with a key, an "
        "account other than root) unless a section says otherwise. Every contestant is driven by the same MCP client, "
        "which runs in one Python process and takes its share of every figure. The peers are the published releases "
        "from PyPI and npm, their own limits raised."
    )


def _targets(results: Sequence[Result], *, peers: bool) -> str:
    rows = [
        (target.figure, target.target, target.measured, met(holds=target.met))
        for result in results
        for target in result.targets
        if peers or not target.about_peers
    ]
    if not rows:
        return "None in the sections that were run."
    ways = " / ".join(contestant.name.removeprefix("Fairlead, ") for contestant in FAIRLEAD)
    text = f"Fairlead's figures stand for its ways in: {ways} (where two: the HTTP ones). All must meet the target."
    return text + "\n\n" + table(("figure", "target", "measured", "met"), rows)
