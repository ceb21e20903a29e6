"""The pod that holds a host's connection."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fairlead_api.base import VALIDATIONS, ApiModel, Cel, ListType
from fairlead_api.placement import LABEL_KEYS, Affinity, NodeLabels, Toleration
from fairlead_api.strings import LabelValue, ObjectName, label_key_rule


@dataclass(frozen=True)
class _IntOrString:
    """Metadata of a string that may be written as a number, such as `cpu: 1`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: str(value) if isinstance(value, int) else value, core_schema.str_schema(max_length=32)
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        rule = Cel(
            "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
            "must be a quantity greater than 0, such as 100m or 64Mi",
        )
        return {"x-kubernetes-int-or-string": True, "maxLength": 32, VALIDATIONS: [rule.as_schema()]}


Quantity = Annotated[str, _IntOrString()]
"""A Kubernetes quantity, kept as it was written."""


class ResourceAmounts(ApiModel):
    """Amounts of CPU and memory."""

    cpu: Annotated[Quantity | None, Field(description="CPU cores, such as 100m.")] = None
    memory: Annotated[Quantity | None, Field(description="Memory, such as 128Mi.")] = None


LEAST_MEMORY = "64Mi"
"""A pod's memory limit at least: an idle sidecar takes about 60 MiB."""


class ResourceRequirements(ApiModel):
    """Requests and limits, as in a pod's container."""

    rules = (
        *(
            Cel(
                f"!has(self.requests) || !has(self.limits) || !has(self.requests.{name}) || !has(self.limits.{name})"
                f" || quantity(string(self.requests.{name})).compareTo(quantity(string(self.limits.{name}))) <= 0",
                f"requests.{name} is more than limits.{name}: lower the one or raise the other",
            )
            for name in ("cpu", "memory")
        ),
        Cel(
            "!has(self.limits) || !has(self.limits.memory)"
            f" || quantity(string(self.limits.memory)).compareTo(quantity('{LEAST_MEMORY}')) >= 0",
            f"limits.memory is less than {LEAST_MEMORY}, with which no pod starts: raise it; 128Mi are mebibytes,"
            " 128m are thousandths of a byte",
        ),
    )

    requests: Annotated[
        ResourceAmounts | None, Field(description="What the scheduler sets aside. Absent: nothing.")
    ] = None
    limits: Annotated[ResourceAmounts | None, Field(description="What the pod may use at most. Absent: no limit.")] = (
        None
    )


OWN_LABELS = tuple(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "managed-by"))
"""Labels of pods that are Fairlead's own, besides `fairlead.dev/...`."""
_OWN_LABELS = ", ".join(f"'{key}'" for key in OWN_LABELS)


class Sidecar(ApiModel):
    """The pod that holds the connection and serves MCP. What is left out here is as the operator's defaults say."""

    resources: Annotated[
        ResourceRequirements | None,
        Field(
            description="CPU and memory of the pod; what is written here replaces the defaults as a whole."
            " Absent: the operator's default."
        ),
    ] = None
    node_selector: Annotated[
        NodeLabels | None,
        Field(description="Labels of the nodes that the pod may run on. Absent: the operator's default, else any."),
    ] = None
    tolerations: Annotated[
        tuple[Toleration, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Taints of nodes that don't keep the pod away. The pod leaves a node that is gone after 30"
            " seconds unless one of them says otherwise. Absent: the operator's default.",
        ),
        ListType("atomic"),
    ] = None
    affinity: Annotated[
        Affinity | None, Field(description="Where the pod may or would best run. Absent: the operator's default.")
    ] = None
    priority_class_name: Annotated[
        ObjectName | None, Field(description="The PriorityClass of the pod. Absent: the operator's default.")
    ] = None
    labels: Annotated[
        dict[str, LabelValue] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Labels of the pod, beside Fairlead's own and the operator's default.",
        ),
        LABEL_KEYS,
        Cel(
            f"self.all(key, !key.startsWith('fairlead.dev/') && !(key in [{_OWN_LABELS}]))",
            "may not set fairlead.dev/... or the app.kubernetes.io/ labels that Fairlead sets itself: remove them",
        ),
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(
            min_length=1, max_length=16, description="Annotations of the pod, beside those of the operator's default."
        ),
        Cel(
            f"self.all(key, {label_key_rule('key')})",
            "has a key that is no annotation key: write it like example.com/key",
        ),
        Cel(
            "self.all(key, !key.startsWith('fairlead.dev/'))",
            "may not set fairlead.dev/... annotations: those are Fairlead's own, remove them",
        ),
    ] = None
    termination_grace_period_seconds: Annotated[
        int | None,
        Field(
            ge=15,
            le=3600,
            description="Seconds that calls and commands under way get when another pod takes over; the last 10 of"
            " them are for killing what is left. Absent: the operator's default, 30.",
        ),
    ] = None
