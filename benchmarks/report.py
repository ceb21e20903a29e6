"""What a benchmark run found, as a page for people: no machine names, no paths."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.calls import BARE_CONNECTIONS, BIG_OUTPUT_BYTES, OUTPUT_LIMIT_BYTES, EraReport, Report
from benchmarks.overhead import CALLS_PER_TURN, CONCURRENCY, ROUNDS
from benchmarks.stats import percentile, table

RESULTS = Path(__file__).parent / "results"
RATIO_TARGET = 1.3
RSS_TARGET_MIB = 100.0
GROWTH_TARGET_MIB = 32.0


def calls_page(report: Report) -> str:
    """The page of `python -m benchmarks`."""
    parts = [
        "# Tool calls beside their limits",
        _circumstances(),
        _method(),
    ]
    for era in report.eras:
        parts += [f"## Protocol {era.protocol}", _latency_table(era), _big_output(era)]
    parts += ["## Memory", _memory_table(report), "## Targets", _targets(report)]
    return "\n\n".join(parts) + "\n"


def write(name: str, page: str) -> Path:
    """Keep a page as the last result of its kind."""
    file = RESULTS / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(page)
    return file


def _method() -> str:
    return (
        f"One run against a private sshd on loopback. A, B and C take turns: {ROUNDS} rounds of {CALLS_PER_TURN} calls "
        f"each. A opens {BARE_CONNECTIONS} connections for the {CONCURRENCY} calls at once, B and C are one MCP client "
        "each. The client runs in one Python process and takes its share of every figure."
    )


def _circumstances() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("fairlead", "mcp", "asyncssh", "uvicorn"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f} "
        f"at the end, Python {platform.python_version()}, {versions}."
    )


def _latency_table(era: EraReport) -> str:
    rows = [
        ("A: bare asyncssh `conn.run`", era.latencies.bare, era.throughput.bare),
        ("B: no-op MCP tool call", era.latencies.noop, era.throughput.noop),
        ("C: `execute_command`", era.latencies.fairlead, era.throughput.fairlead),
    ]
    cells = [
        (name, f"{percentile(times, 50):.2f}", f"{percentile(times, 95):.2f}", f"{rate:.0f}")
        for name, times, rate in rows
    ]
    ratios = (f"{era.latencies.ratio(50):.2f}", f"{era.latencies.ratio(95):.2f}", "")
    return table(("", "p50 ms", "p95 ms", f"{CONCURRENCY} at once, calls/s"), [*cells, ("**C / (A + B)**", *ratios)])


def _big_output(era: EraReport) -> str:
    return (
        f"A command with {BIG_OUTPUT_BYTES // 10**6} MB of output ({OUTPUT_LIMIT_BYTES // 1024} KiB of it returned): "
        f"{era.big_output_seconds:.2f} s, resident memory "
        f"grew by {era.big_output.growth:.1f} MiB at most."
    )


def _memory_table(report: Report) -> str:
    rows = [
        ("connected and idle, before the first call", f"{report.idle_rss_mib:.1f}"),
        ("after all calls", f"{report.worked_rss_mib:.1f}"),
    ]
    return table(("sidecar, resident", "MiB"), rows)


def _targets(report: Report) -> str:
    rows = [
        (
            f"C / (A + B), p50, {era.protocol}",
            f"<= {RATIO_TARGET}",
            f"{era.latencies.ratio():.2f}",
            _met(era.latencies.ratio() <= RATIO_TARGET),
        )
        for era in report.eras
    ]
    rows += [
        (
            "idle and connected, MiB",
            f"<= {RSS_TARGET_MIB:.0f}",
            f"{report.idle_rss_mib:.1f}",
            _met(report.idle_rss_mib <= RSS_TARGET_MIB),
        )
    ]
    growth = max(era.big_output.growth for era in report.eras)
    rows += [
        (
            f"growth at {BIG_OUTPUT_BYTES // 10**6} MB of output, MiB",
            f"<= {GROWTH_TARGET_MIB:.0f}",
            f"{growth:.1f}",
            _met(growth <= GROWTH_TARGET_MIB),
        )
    ]
    return table(("figure", "target", "measured", "met"), rows)


def _met(holds: bool) -> str:
    return "yes" if holds else "NO"
