"""Where a pod may run, in Kubernetes' own words (`core/v1`): node selector, tolerations, affinity."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, Cel, ListType
from fairlead_api.meta import LabelSelector
from fairlead_api.strings import LabelKey, LabelValue, label_key_rule

LABEL_KEYS = Cel(
    f"self.all(key, {label_key_rule('key')})",
    "has a key that is no label key: write it like role or example.com/role",
)
_WEIGHT = "How much it counts beside other preferences."
_TERMS = 8


class NodeOperator(StrEnum):
    """How a node's label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class NodeRequirement(ApiModel):
    """One condition on a label of a node."""

    rules = (
        Cel(
            "(self.operator in ['Exists', 'DoesNotExist']) != has(self.values)",
            "Exists and DoesNotExist take no values, the others need them",
        ),
        Cel(
            "!(self.operator in ['Gt', 'Lt']) || !has(self.values)"
            " || (self.values.size() == 1 && self.values[0].matches('^[0-9]{1,18}$'))",
            "Gt and Lt take exactly one value, a number",
        ),
    )

    key: Annotated[LabelKey, Field(description="The label's key.")]
    operator: Annotated[NodeOperator, Field(description="How the label is compared with `values`.")]
    values: Annotated[
        tuple[LabelValue, ...] | None,
        Field(min_length=1, max_length=16, description="What it is compared with; absent for Exists, DoesNotExist."),
        ListType("atomic"),
    ] = None


class NodeTerm(ApiModel):
    """Conditions on a node, which must all hold."""

    match_expressions: Annotated[
        tuple[NodeRequirement, ...],
        Field(min_length=1, max_length=_TERMS, description="Conditions on the node's labels."),
        ListType("atomic"),
    ]


class NodeTerms(ApiModel):
    """Which nodes."""

    node_selector_terms: Annotated[
        tuple[NodeTerm, ...],
        Field(min_length=1, max_length=_TERMS, description="One of them must hold."),
        ListType("atomic"),
    ]


class PreferredNode(ApiModel):
    """Nodes that would be better than others."""

    weight: Annotated[int, Field(ge=1, le=100, description=_WEIGHT)]
    preference: Annotated[NodeTerm, Field(description="Which nodes.")]


class NodeAffinity(ApiModel):
    """On which nodes the pod may run."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeTerms | None, Field(description="It runs nowhere else. Absent: anywhere.")
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNode, ...] | None,
        Field(min_length=1, max_length=_TERMS, description="It runs there where that is possible. Absent: no matter."),
        ListType("atomic"),
    ] = None


class PodTerm(ApiModel):
    """Pods to be near to, or away from; those of the same namespace unless `namespaces` says otherwise."""

    label_selector: Annotated[
        LabelSelector | None, Field(description="Which pods; `{}` selects all. Absent: none.")
    ] = None
    namespaces: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] | None,
        Field(min_length=1, max_length=_TERMS, description="Their namespaces. Absent: the host's own."),
        ListType("atomic"),
    ] = None
    namespace_selector: Annotated[
        LabelSelector | None,
        Field(description="Labels of further namespaces; `{}` selects all. Absent: none."),
    ] = None
    topology_key: Annotated[
        LabelKey,
        Field(description="The label of nodes whose value says what is near, such as kubernetes.io/hostname."),
    ]


class PreferredPods(ApiModel):
    """Pods that it would be better to be near to, or away from."""

    weight: Annotated[int, Field(ge=1, le=100, description=_WEIGHT)]
    pod_affinity_term: Annotated[PodTerm, Field(description="Which pods, and what is near.")]


class PodAffinity(ApiModel):
    """Other pods that count."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodTerm, ...] | None,
        Field(min_length=1, max_length=_TERMS, description="What must hold. Absent: nothing."),
        ListType("atomic"),
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPods, ...] | None,
        Field(min_length=1, max_length=_TERMS, description="What holds where that is possible. Absent: nothing."),
        ListType("atomic"),
    ] = None


class Affinity(ApiModel):
    """Where the pod may or would best run, as in a pod's `affinity`."""

    node_affinity: Annotated[NodeAffinity | None, Field(description="By nodes. Absent: any.")] = None
    pod_affinity: Annotated[PodAffinity | None, Field(description="Near to other pods. Absent: no matter.")] = None
    pod_anti_affinity: Annotated[PodAffinity | None, Field(description="Away from other pods. Absent: no matter.")] = (
        None
    )


class TaintEffect(StrEnum):
    """What a taint does to pods that don't tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class TolerationOperator(StrEnum):
    """How a taint's value is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class Toleration(ApiModel):
    """A taint of nodes that does not keep the pod away."""

    rules = (
        Cel(
            "has(self.key) || self.operator == 'Exists'",
            "has no key, which means every taint: set operator to Exists, or add the key",
        ),
        Cel(
            "!has(self.value) || self.operator == 'Equal'",
            "has a value with operator Exists: remove one of the two",
        ),
        Cel(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds is for effect NoExecute only: set that effect, or remove it",
        ),
    )

    key: Annotated[LabelKey | None, Field(description="The taint's key. Absent: every taint.")] = None
    operator: Annotated[
        TolerationOperator, Field(description="Equal: the taint has `value`. Exists: whatever its value is.")
    ] = TolerationOperator.EQUAL
    value: Annotated[LabelValue | None, Field(description="The taint's value. Absent: the empty one.")] = None
    effect: Annotated[TaintEffect | None, Field(description="The taint's effect. Absent: every effect.")] = None
    toleration_seconds: Annotated[
        int | None,
        Field(ge=0, le=86400, description="With NoExecute: how long the pod stays on such a node. Absent: forever."),
    ] = None


NodeLabels = Annotated[dict[str, LabelValue], Field(min_length=1, max_length=16), LABEL_KEYS]
"""Labels that a node must carry."""
