"""The page of `python -m benchmarks`: tool calls beside their limits."""

from benchmarks.calls import BARE_CONNECTIONS, BIG_OUTPUT_BYTES, OUTPUT_LIMIT_BYTES, EraReport, Report
from benchmarks.overhead import CALLS_PER_TURN, CONCURRENCY, ROUNDS
from benchmarks.report import circumstances, met
from benchmarks.stats import percentile, table

RATIO_TARGET = 1.3
RSS_TARGET_MIB = 100.0
GROWTH_TARGET_MIB = 32.0


def page(report: Report) -> str:
    """Markdown."""
    parts = [
        "# Tool calls beside their limits",
        circumstances(),
        _method(),
    ]
    for era in report.eras:
        parts += [f"## Protocol {era.protocol}", _latency_table(era), _big_output(era)]
    parts += ["## Memory", _memory_table(report), "## Targets", _targets(report)]
    return "\n\n".join(parts) + "\n"


def _method() -> str:
    return (
        f"One run against a private sshd on loopback. A, B and C take turns: {ROUNDS} rounds of {CALLS_PER_TURN} calls "
        f"each. A opens {BARE_CONNECTIONS} connections for the {CONCURRENCY} calls at once, B and C are one MCP client "
        "each. The client runs in one Python process and takes its share of every figure."
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
    figures = [(f"C / (A + B), p50, {era.protocol}", RATIO_TARGET, era.latencies.ratio(), 2) for era in report.eras]
    growth = max(era.big_output.growth for era in report.eras)
    figures += [
        ("idle and connected, MiB", RSS_TARGET_MIB, report.idle_rss_mib, 1),
        (f"growth at {BIG_OUTPUT_BYTES // 10**6} MB of output, MiB", GROWTH_TARGET_MIB, growth, 1),
    ]
    rows = [
        (name, f"<= {target:g}", f"{value:.{digits}f}", met(holds=value <= target))
        for name, target, value, digits in figures
    ]
    return table(("figure", "target", "measured", "met"), rows)
