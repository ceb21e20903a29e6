"""The reference pages: every field of a kind, every condition and reason."""

from collections.abc import Iterator
from typing import Any

from fairlead_api.base import GROUP, VALIDATIONS, VERSION
from fairlead_api.conditions import (
    AuthorityCondition,
    AuthorityReason,
    Documented,
    HostCondition,
    HostReason,
    McpServerCondition,
    McpServerReason,
    TokenCondition,
    TokenReason,
)
from fairlead_api.generate.crd import Kind, schema_of

_STRICTNESS = (
    "Objects that break a rule are refused at `kubectl apply`. Fields that aren't listed here are refused by kubectl"
    " and Helm (strict field validation); from clients that don't ask for it, the API server drops them."
)
_CONDITIONS = (
    "Each condition has a `status` (True, False, Unknown), a `reason` from the tables below and a `message` that says"
    " what to do. There is no `phase`."
)


def kind_page(kind: Kind) -> str:
    """One kind's page, in Markdown."""
    schema = schema_of(kind)
    lines = [
        f"# {kind.name}",
        "",
        schema["description"],
        "",
        f"`apiVersion: {GROUP}/{VERSION}`, namespaced; short name `{kind.short_name}`, category `fairlead`.",
        "",
        *(f"`{rule['message'].replace(' ', '` ', 1)}." for rule in schema[VALIDATIONS]),
        "",
        _STRICTNESS,
        "",
    ]
    for part in ("spec", "status"):
        lines += [f"## {part}", "", schema["properties"][part]["description"], ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(*field) for field in _fields(schema["properties"][part], "")]
        lines += [""]
        rules = list(_rules(schema["properties"][part], part))
        if rules:
            lines += ["What the API server checks beyond types and bounds:", "", *rules, ""]
    return "\n".join(lines)


def conditions_page() -> str:
    """The page of conditions and reasons, in Markdown."""
    lines = ["# Conditions and reasons", "", _CONDITIONS, ""]
    tables: tuple[tuple[str, type[Documented]], ...] = (
        ("Conditions of a RemoteHost", HostCondition),
        ("Reasons in a RemoteHost's conditions", HostReason),
        ("Conditions of an MCP server (`status.mcpServers` of a RemoteHost)", McpServerCondition),
        ("Reasons in an MCP server's condition", McpServerReason),
        ("Conditions of an McpToken", TokenCondition),
        ("Reasons in an McpToken's conditions", TokenReason),
        ("Conditions of an SSHCertificateAuthority", AuthorityCondition),
        ("Reasons in an SSHCertificateAuthority's conditions", AuthorityReason),
    )
    for title, words in tables:
        lines += [f"## {title}", "", "| name | meaning |", "|---|---|"]
        lines += [f"| `{word.value}` | {_cell(word.doc)} |" for word in words]
        lines += [""]
    return "\n".join(lines)


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each field below an object: its dotted path, its schema, and whether it is required."""
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in schema.get("required", [])
        yield from _fields(field, f"{path}.")
        yield from _fields(field.get("items", {}), f"{path}[].")
        yield from _fields(field.get("additionalProperties", {}), f"{path}.*.")


def _row(path: str, schema: dict[str, Any], required: bool) -> str:
    default = "required" if required else _default(schema)
    return f"| `{path}` | {_cell(_type(schema))} | {default} | {_cell(schema['description'])} |"


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    if default in (None, {}):
        return ""
    if isinstance(default, dict):
        return "`" + "; ".join(f"{key}: {_inline(value)}" for key, value in default.items()) + "`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(part)}" for key, part in value.items()) + "}"
    return str(value)


def _type(schema: dict[str, Any]) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    match schema["type"]:
        case "array":
            return f"list of {schema.get('minItems', 0)} to {schema['maxItems']}: {_type(schema['items'])}"
        case "object" if "additionalProperties" in schema:
            bounds = f"{schema.get('minProperties', 0)} to {schema['maxProperties']}"
            return f"map of {bounds}: {_type(schema['additionalProperties'])}"
        case "integer" if "maximum" in schema:
            return f"integer, {schema['minimum']} to {schema['maximum']}"
        case "string":
            return _string_type(schema)
        case other:
            return str(other)


def _string_type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format") == "date-time":
        return "time"
    if any("duration(" in rule["rule"] for rule in schema.get(VALIDATIONS, [])):
        return "duration"
    return f"string of at most {schema['maxLength']}"


def _rules(schema: dict[str, Any], path: str) -> Iterator[str]:
    for rule in schema.get(VALIDATIONS, []):
        yield f"- `{path}`: {rule['message']}."
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from _rules(schema["additionalProperties"], f"{path}.*")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
