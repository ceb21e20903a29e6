"""The page of `python -m benchmarks cluster`: time to Ready, cost per pod, time to revoke."""

from benchmarks.cluster import HOSTS, IDLE_SECONDS, ClusterReport
from benchmarks.report import circumstances, met
from benchmarks.revocation import TRIALS, Trial
from benchmarks.stats import percentile, table

SINGLE_TARGET = 4.0
TOGETHER_TARGET = 30.0
REVOCATION_TARGET = 2.0
MEMORY_TARGET_MIB = 100.0


def page(report: ClusterReport) -> str:
    """Markdown."""
    method = (
        f"Ready is measured from the start of `kubectl apply` until a watcher sees Ready=True: {HOSTS} "
        f"hosts one at a time, each removed before the next, then {HOSTS} applied together. A revocation "
        "is timed from the return of kubectl (an expiry: from its time) until a request through the Ingress is "
        "refused, until an open stream and a call are cut, and until the call's command is gone from the host; "
        f"{TRIALS} trials each. CPU and memory are the kubelet's figures for a pod; idle is over {IDLE_SECONDS} s."
    )
    title = "# Hosts and tokens on a real cluster"
    parts = (
        title,
        circumstances(),
        method,
        _times(report),
        _revocations(report),
        _pods(report),
        "## Targets",
        _targets(report),
    )
    return "\n\n".join(parts) + "\n"


def _times(report: ClusterReport) -> str:
    rows = [
        (name, *(f"{value:.2f}" for value in (percentile(times, 50), percentile(times, 95), max(times))))
        for name, times in (
            ("Ready, one at a time", report.one_at_a_time),
            (f"Ready, {HOSTS} at once", report.at_once),
        )
    ]
    return table(("seconds", "p50", "p95", "longest"), rows)


def _revocations(report: ClusterReport) -> str:
    rows = [
        (f"token: {way}", *(f"{percentile(times, 50):.2f} / {percentile(times, 99):.2f}" for times in _aspects(trials)))
        for way, trials in report.revocations.items()
    ]
    return table(("seconds, p50 / p99", "refused", "stream and call cut", "command dead"), rows)


def _aspects(trials: list[Trial]) -> tuple[list[float], ...]:
    return [trial.refused for trial in trials], [trial.cut for trial in trials], [trial.dead for trial in trials]


def _pods(report: ClusterReport) -> str:
    cpu = [usage.cpu_seconds for usage in report.started]
    memory = [usage.memory_mib for usage in report.started]
    rows = [
        ("CPU seconds until all were Ready", f"{percentile(cpu, 50):.2f}", f"{max(cpu):.2f}"),
        ("CPU idle, of one core", f"{report.idle_cpu_share:.2%}", ""),
        ("memory (working set), MiB", f"{percentile(memory, 50):.1f}", f"{max(memory):.1f}"),
    ]
    return table(("per pod", "p50", "most"), rows)


def _targets(report: ClusterReport) -> str:
    figures = (
        ("Ready one at a time, p95, s", SINGLE_TARGET, percentile(report.one_at_a_time, 95)),
        (f"all of {HOSTS} at once Ready, s", TOGETHER_TARGET, max(report.at_once)),
        *(
            (
                f"token revoked ({way}), p99 of all three, s",
                REVOCATION_TARGET,
                max(percentile(times, 99) for times in _aspects(trials)),
            )
            for way, trials in report.revocations.items()
        ),
        ("memory of a pod, most, MiB", MEMORY_TARGET_MIB, max(usage.memory_mib for usage in report.started)),
    )
    rows = [(name, f"<= {target:g}", f"{value:.2f}", met(holds=value <= target)) for name, target, value in figures]
    return table(("figure", "target", "measured", "met"), rows)
