"""Why a host's pod does not run, from what the cluster says about it."""

from collections.abc import Iterable, Mapping
from typing import Any

_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


def newest_pod(pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest pod that is neither on its way out nor at its end; None: there is none."""
    alive = [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]
    return max(
        alive, key=lambda pod: (str(pod["metadata"].get("creationTimestamp", "")), pod["metadata"]["uid"]), default=None
    )


def pod_problem(pods: Iterable[Mapping[str, Any]], deployment: Mapping[str, Any] | None) -> str:
    """What keeps the newest pod from running, in a sentence; empty while nothing is wrong.

    Args:
        pods: The host's pods.
        deployment: Its Deployment, which knows why no pod could be made.
    """
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)
    if newest is None:
        return _not_created(deployment)
    status = newest.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"The pod can't be placed: {condition.get('reason')}: {condition.get('message')}"
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        last = (container.get("lastState") or {}).get("terminated") or {}
        if (waiting := state.get("waiting")) and waiting.get("reason") not in _STARTING:
            text = f"The pod does not start: {waiting.get('reason')}: {waiting.get('message', 'no details')}"
            return text + (f" (it ended with {_end(last)}).{_advice(last)}" if last else "")
        if terminated := state.get("terminated"):
            return f"The pod's process ended with {_end(terminated)}.{_advice(terminated)}"
    return ""


def _advice(terminated: Mapping[str, Any]) -> str:
    killed = terminated.get("reason") == "OOMKilled"
    return " It needs more memory: raise spec.sidecar.resources.limits.memory." if killed else ""


def _end(terminated: Mapping[str, Any]) -> str:
    return f"{terminated.get('reason', 'Error')}, exit code {terminated.get('exitCode')}"


def _not_created(deployment: Mapping[str, Any] | None) -> str:
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"No pod can be made: {condition.get('reason')}: {condition.get('message')}"
    return ""
