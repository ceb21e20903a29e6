"""What is said of a pod that does not run."""

from typing import Any

from fairlead_operator.reconcile.pods import pod_problem

KILLED = {"reason": "OOMKilled", "exitCode": 137}
MORE = "It needs more memory: raise spec.sidecar.resources.limits.memory."


def problem(state: dict[str, Any], last: dict[str, Any] | None = None) -> str:
    status = {"containerStatuses": [{"state": state, "lastState": last or {}}]}
    return pod_problem([{"metadata": {"creationTimestamp": "2026-03-01T12:00:00Z"}, "status": status}], None)


def test_a_pod_without_enough_memory_needs_a_higher_limit() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}
    assert problem({"terminated": KILLED}) == f"The pod's process ended with OOMKilled, exit code 137. {MORE}"
    assert problem(waiting, {"terminated": KILLED}) == (
        f"The pod does not start: CrashLoopBackOff: back-off 20s (it ended with OOMKilled, exit code 137). {MORE}"
    )


def test_other_ends_are_told_as_they_were() -> None:
    ended = {"reason": "Error", "exitCode": 1}
    assert problem({"terminated": ended}) == "The pod's process ended with Error, exit code 1."


def test_a_pod_that_starts_has_no_problem() -> None:
    assert problem({"waiting": {"reason": "ContainerCreating"}}) == ""
