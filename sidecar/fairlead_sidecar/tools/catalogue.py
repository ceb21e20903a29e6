"""The published table: tool, group, permission, OAuth scope. Documentation is generated from it."""

from collections.abc import Iterable

from fairlead_sidecar.config import Permission, ToolGroup
from fairlead_sidecar.tools import connection, execute, files
from fairlead_sidecar.tools.spec import Tool

TOOLS: dict[str, Tool] = {tool.name: tool for module in (connection, execute, files) for tool in module.TOOLS}
"""All tools by name."""

SCOPES: dict[Permission, str] = {
    Permission.VIEW: "fairlead:view",
    Permission.READ: "fairlead:read",
    Permission.EXECUTE: "fairlead:execute",
    Permission.WRITE: "fairlead:write",
}
"""The OAuth scope that stands for each permission."""


def offered(groups: Iterable[ToolGroup]) -> dict[str, Tool]:
    """The tools of a host with these groups."""
    chosen = set(groups)
    return {name: tool for name, tool in TOOLS.items() if tool.group is None or tool.group in chosen}


def scope_text(permissions: Iterable[Permission]) -> str:
    """A `scope` value (RFC 6749, section 3.3): space-separated, in the table's order."""
    held = set(permissions)
    return " ".join(scope for permission, scope in SCOPES.items() if permission in held)
