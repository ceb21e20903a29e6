"""What every model of the API shares: names, strictness, and CEL rules that travel into the CRD."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

GROUP = "fairlead.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["fairlead.dev/v1alpha1"] = "fairlead.dev/v1alpha1"

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Cel:
    """A validation rule in the Common Expression Language that the API server evaluates at admission.

    On a field it is annotation metadata (`Annotated[str, Cel(...)]`); a model lists its own in `rules`.
    `message` is a sentence that says what to change; `message_expression` is CEL that makes one from the value.
    """

    rule: str
    message: str
    message_expression: str | None = None
    field_path: str | None = None

    def as_schema(self) -> dict[str, str]:
        """The entry in `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.message_expression is not None:
            entry["messageExpression"] = self.message_expression
        if self.field_path is not None:
            entry["fieldPath"] = self.field_path
        return entry

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rule to the schema of the annotated type."""
        schema = handler(core)
        schema[VALIDATIONS] = [*schema.get(VALIDATIONS, []), self.as_schema()]
        return schema


@dataclass(frozen=True)
class ListType:
    """How server-side apply merges a list: `set` of scalars, or `map` by the given keys."""

    type: Literal["atomic", "set", "map"]
    keys: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the list type to the schema of the annotated list."""
        schema = handler(core)
        schema["x-kubernetes-list-type"] = self.type
        if self.keys:
            schema["x-kubernetes-list-map-keys"] = list(self.keys)
        return schema


def refuse_repeated(names: Iterable[str]) -> None:
    """What the API server does for a list whose entries are known by their names.

    Raises:
        ValueError: A name occurs twice.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the name {name!r} occurs twice")
        seen.add(name)


class ApiModel(BaseModel):
    """A part of the API: camelCase outside, snake_case inside, immutable, unknown fields refused.

    An unknown field means that the cluster's CRD is newer than this program. To ignore it could loosen a
    restriction that its author relies on, hence the error.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    rules: ClassVar[tuple[Cel, ...]] = ()
    """CEL rules over the object as a whole."""

    @classmethod
    def cel_rules(cls) -> tuple[Cel, ...]:
        """All rules of this model, derived ones included."""
        return cls.rules

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the model's CEL rules to its schema."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        if rules := cls.cel_rules():
            schema[VALIDATIONS] = [rule.as_schema() for rule in rules]
        # Pydantic encodes a bare default by its type and not by its field, which would make PT5M of 5m.
        for name, value in cls.model_construct().to_manifest().items():
            schema["properties"][name]["default"] = value
        return reference

    def to_manifest(self) -> dict[str, Any]:
        """The object as it is written to the API server: camelCase, plain JSON values, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObservedModel(ApiModel):
    """A part that only programs write: fields that this version does not know are left alone."""

    model_config = ConfigDict(extra="ignore")
