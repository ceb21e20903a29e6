"""The parts of Kubernetes' own types that the API's objects contain."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from fairlead_api.base import ApiModel, Cel, ListType, ObservedModel
from fairlead_api.strings import LabelKey, LabelValue, label_key_rule


class ObjectMeta(ObservedModel):
    """The metadata that Fairlead reads; the API server owns and validates it."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(ApiModel):
    """One condition on a label."""

    rules = (
        Cel(
            "(self.operator in ['In', 'NotIn']) == has(self.values)",
            "In and NotIn need values; Exists and DoesNotExist take none",
        ),
    )

    key: Annotated[LabelKey, Field(description="The label's key.")]
    operator: Annotated[SelectorOperator, Field(description="How the label is compared with `values`.")]
    values: Annotated[
        tuple[LabelValue, ...] | None,
        Field(
            min_length=1, max_length=32, description="The values for In and NotIn; absent for Exists and DoesNotExist."
        ),
        ListType("set"),
    ] = None

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether an object with these labels meets the requirement, as Kubernetes defines it."""
        match self.operator:
            case SelectorOperator.IN:
                return labels.get(self.key) in (self.values or ())
            case SelectorOperator.NOT_IN:
                return labels.get(self.key) not in (self.values or ())
            case SelectorOperator.EXISTS:
                return self.key in labels
            case SelectorOperator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(ApiModel):
    """Which objects are meant; all requirements must hold, and the empty selector `{}` selects all."""

    match_labels: Annotated[
        dict[str, LabelValue] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Labels that an object must carry with exactly these values. Absent: no such requirement.",
        ),
        Cel(
            f"self.all(key, {label_key_rule('key')})",
            "has a key that is no label key: write it like role or example.com/role",
        ),
    ] = None
    match_expressions: Annotated[
        tuple[LabelRequirement, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Further conditions on labels. Absent: no such requirement.",
        ),
        ListType("atomic"),
    ] = None

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in (self.match_labels or {}).items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions or ()
        )


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ObservedModel):
    """One aspect of an object's state, as Kubernetes' `metav1.Condition`."""

    type: Annotated[str, Field(min_length=1, max_length=63, description="Which aspect this is.")]
    status: Annotated[ConditionStatus, Field(description="Whether the condition holds.")]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="The `metadata.generation` that this was found out for.")
    ] = None
    last_transition_time: Annotated[AwareDatetime, Field(description="When `status` changed last.")]
    reason: Annotated[str, Field(min_length=1, max_length=64, description="Why, as one CamelCase word for programs.")]
    message: Annotated[str, Field(max_length=4096, description="Why, as a sentence that says what to do.")]
