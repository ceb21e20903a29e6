"""Unions in the Kubernetes way: `type`, plus the one member of that name."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast, get_args

from pydantic import BaseModel, model_validator

from fairlead_api.base import ApiModel, Cel


def _member_name(value: str) -> str:
    """The member that belongs to a value of `type`, as written: `Secret` -> `secret`, `HTTPRoute` -> `httpRoute`."""
    return re.sub("^([A-Z]+(?=[A-Z][a-z])|[A-Z]+$|[A-Z])", lambda found: found[0].lower(), value)


class TypedUnion(ApiModel):
    """Exactly the member that `type` names is there.

    A subclass has a field `type` (an enum) and, for each of its values, an optional member named after it. A member
    without required fields may be left out; it is then filled in with its defaults.
    """

    @classmethod
    def _members(cls) -> Mapping[str, tuple[str, type[BaseModel]]]:
        """Value of `type` -> alias and model of its member."""
        kinds = cast("type[StrEnum]", cls.model_fields["type"].annotation)
        by_alias = {field.alias: field.annotation for field in cls.model_fields.values()}
        return {str(kind): (_member_name(kind), get_args(by_alias[_member_name(kind)])[0]) for kind in kinds}

    @classmethod
    def cel_rules(cls) -> tuple[Cel, ...]:
        """The rules that refuse a missing and a superfluous member."""
        members = cls._members()
        rules = [
            Cel(f"self.type != '{kind}' || has(self.{name})", f"type {kind} needs the member {name}: add it")
            for kind, (name, model) in members.items()
            if not _may_be_empty(model)
        ]
        if len(members) > 1:
            rules += [
                Cel(
                    f"self.type == '{kind}' || !has(self.{name})",
                    f"{name} belongs to type {kind} only: remove {name}, or set type: {kind}",
                )
                for kind, (name, _) in members.items()
            ]
        return (*rules, *cls.rules)

    @model_validator(mode="before")
    @classmethod
    def _check_members(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        members = cls._members()
        kind = str(data.get("type"))
        for other, (name, _) in members.items():
            if other != kind and data.get(name) is not None:
                raise ValueError(f"{name} belongs to type {other} only")
        if kind in members:
            name, model = members[kind]
            if data.get(name) is None:
                if not _may_be_empty(model):
                    raise ValueError(f"type {kind} needs the member {name}")
                return {**data, name: {}}
        return data


def _may_be_empty(model: type[BaseModel]) -> bool:
    return not any(field.is_required() for field in model.model_fields.values())
