"""The pod that holds a host's connection."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fairlead_api.base import VALIDATIONS, ApiModel, Cel


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


class ResourceRequirements(ApiModel):
    """Requests and limits, as in a pod's container."""

    rules = tuple(
        Cel(
            f"!has(self.requests) || !has(self.limits) || !has(self.requests.{name}) || !has(self.limits.{name})"
            f" || quantity(string(self.requests.{name})).compareTo(quantity(string(self.limits.{name}))) <= 0",
            f"requests.{name} is more than limits.{name}: lower the one or raise the other",
        )
        for name in ("cpu", "memory")
    )

    requests: Annotated[
        ResourceAmounts | None, Field(description="What the scheduler sets aside. Absent: nothing.")
    ] = None
    limits: Annotated[ResourceAmounts | None, Field(description="What the pod may use at most. Absent: no limit.")] = (
        None
    )


class Sidecar(ApiModel):
    """The pod that holds the connection and serves MCP."""

    resources: Annotated[
        ResourceRequirements,
        Field(description="CPU and memory of the pod. What is written here replaces the defaults as a whole."),
    ] = ResourceRequirements(
        requests=ResourceAmounts(cpu="10m", memory="64Mi"), limits=ResourceAmounts(cpu="1", memory="256Mi")
    )
