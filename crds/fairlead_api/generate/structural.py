"""Pydantic's JSON schema made into the structural schema that a CRD may hold."""

from typing import Any

from pydantic import BaseModel

from fairlead_api.base import VALIDATIONS, Cel

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "$defs", "propertyNames", "default"})
_DATE_TIME_MAX_LENGTH = 64
_FIRST = ("description", "type", "format", "enum", "default", "pattern")
_LAST = ("required", "items", "additionalProperties", "properties")


def structural_schema(model: type[BaseModel]) -> Schema:
    """The schema of a model, as it is read from the API: references resolved, nothing nullable, defaults as written."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}))


def _convert(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _resolve(schema, definitions)
    result: Schema = {key: value for key, value in schema.items() if key not in _DROPPED}
    if result.get("additionalProperties") is False:
        # A structural schema closes objects by itself: fields that it doesn't name are pruned or refused.
        del result["additionalProperties"]
    if "properties" in result:
        required = result.get("required", [])
        result["properties"] = {
            name: _explain_emptiness(_convert(value, definitions), name in required)
            for name, value in result["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if key in result:
            result[key] = _convert(result[key], definitions)
    if result.get("type") == "integer":
        result["format"] = "int64"
    if result.get("format") == "date-time":
        result["maxLength"] = _DATE_TIME_MAX_LENGTH
    default = schema.get("default")
    if default not in (None, "", [], ()):
        result["default"] = _shortest(default, result)
    return {key: result[key] for key in sorted(result, key=_position)}


def _position(key: str) -> tuple[int, str]:
    """Sort the keys as people read them: what it is, its bounds, its rules, what is in it."""
    if key in _FIRST:
        return (_FIRST.index(key), key)
    return (100 + _LAST.index(key), key) if key in _LAST else (50, key)


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace a reference, or "this or null", by what it stands for; what is written beside it wins, rules add up."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
    elif "anyOf" in schema:
        (target,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
    else:
        return schema
    beside = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    target = _resolve(target, definitions)
    rules = [*target.get(VALIDATIONS, []), *beside.get(VALIDATIONS, [])]
    return {**target, **beside, **({VALIDATIONS: rules} if rules else {})}


def _explain_emptiness(schema: Schema, required: bool) -> Schema:
    """Say what to do about an empty list or map; the API server's own words for `minItems` only count."""
    if not (schema.get("minItems") or schema.get("minProperties")):
        return schema
    advice = "add an entry" if required else "add an entry, or remove the field"
    rule = Cel("self.size() > 0", f"is empty: {advice}").as_schema()
    return {**schema, VALIDATIONS: [rule, *schema.get(VALIDATIONS, [])]}


def _shortest(default: Any, schema: Schema) -> Any:
    """An object whose fields all have these very defaults needs no more than `{}`."""
    if isinstance(default, dict):
        fields = schema.get("properties", {})
        if all(fields.get(name, {}).get("default") == value for name, value in default.items()):
            return {}
    return default
