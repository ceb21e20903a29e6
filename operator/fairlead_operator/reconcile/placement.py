"""Where a host's pod runs, what it may use, and how long it may take to end: the host's words before the defaults."""

from typing import Any

from fairlead_api.base import GROUP
from fairlead_api.placement import Toleration
from fairlead_api.resources import ResourceAmounts, ResourceRequirements, Sidecar

KILLING_SECONDS = 10
"""Of the grace period: for ending on the host what still runs when the time for it is over, and then the process."""
NODE_LOSS_SECONDS = 30
"""How long a pod stays bound to a node that is gone. One pod is a host's only way in, hence far below the usual 300."""
_BUILT_IN = Sidecar(
    resources=ResourceRequirements(
        requests=ResourceAmounts(cpu="10m", memory="64Mi"), limits=ResourceAmounts(cpu="1", memory="256Mi")
    ),
    termination_grace_period_seconds=30,
)
_NODE_LOSS = tuple(f"node.kubernetes.io/{taint}" for taint in ("not-ready", "unreachable"))


def placed(written: Sidecar, defaults: Sidecar) -> Sidecar:
    """What holds for a pod: field by field what the host says, else the operator's default, else the built-in one.

    Labels and annotations add up, key by key.

    Args:
        written: The host's `spec.sidecar`.
        defaults: The operator's.
    """
    chosen = {
        name: next(
            (value for some in (written, defaults, _BUILT_IN) if (value := getattr(some, name)) is not None), None
        )
        for name in Sidecar.model_fields
    }
    for name in ("labels", "annotations"):
        chosen[name] = {**(getattr(defaults, name) or {}), **(getattr(written, name) or {})} or None
    return Sidecar.model_construct(**chosen)


def drain_timeout(sidecar: Sidecar) -> float:
    """Seconds that calls under way get when the pod is told to end."""
    return float((sidecar.termination_grace_period_seconds or 0) - KILLING_SECONDS)


def pod_metadata(sidecar: Sidecar, own: dict[str, str]) -> dict[str, Any]:
    """Labels and annotations of the pod; Fairlead's own labels can't be replaced."""
    metadata: dict[str, Any] = {"labels": {**(sidecar.labels or {}), **own}}
    if annotations := {
        key: value for key, value in (sidecar.annotations or {}).items() if not key.startswith(f"{GROUP}/")
    }:
        metadata["annotations"] = annotations
    return metadata


def pod_fields(sidecar: Sidecar) -> dict[str, Any]:
    """The fields of the pod's spec that say where it runs and how it ends."""
    manifest = sidecar.to_manifest()
    names = ("nodeSelector", "affinity", "priorityClassName", "terminationGracePeriodSeconds")
    fields = {name: manifest[name] for name in names if name in manifest}
    return fields | {"tolerations": [*_node_loss(sidecar.tolerations or ()), *manifest.get("tolerations", ())]}


def _node_loss(written: tuple[Toleration, ...]) -> list[dict[str, Any]]:
    """Our own tolerations, as far as none that is written is about the same taint."""
    told = {some.key for some in written}
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": NODE_LOSS_SECONDS}
        for key in _NODE_LOSS
        if key not in told
    ]
