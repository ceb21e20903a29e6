"""The published table: tool, group, permission, OAuth scope. Documentation is generated from it."""

from collections.abc import Iterable, Mapping

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission, SidecarConfig
from fairlead_sidecar.tools import connection, execute, files, followup, named
from fairlead_sidecar.tools.spec import Tool

TOOLS: dict[str, Tool] = {tool.name: tool for module in (connection, execute, followup, files) for tool in module.TOOLS}
"""All tools by name."""

SCOPES: dict[Permission, str] = {
    Permission.VIEW: "fairlead:view",
    Permission.READ: "fairlead:read",
    Permission.EXECUTE: "fairlead:execute",
    Permission.WRITE: "fairlead:write",
    Permission.SUDO: "fairlead:sudo",
    Permission.CALL: "fairlead:call",
}
"""The OAuth scope that stands for each permission."""


def host_tools(config: SidecarConfig) -> dict[str, Tool]:
    """What a host offers: the tools of its groups, on a read-only host only those that change nothing."""
    return {name: tool for name, tool in _of_groups(config).items() if _permitted(tool, config)}


def withheld(config: SidecarConfig) -> dict[str, Tool]:
    """The tools that the host's groups have and its policy keeps back."""
    return {name: tool for name, tool in _of_groups(config).items() if not _permitted(tool, config)}


def offered(tools: Mapping[str, Tool], caller: Caller) -> list[Tool]:
    """Those of a host's tools that the caller sees; the operator's probe counts them all."""
    return [tool for tool in tools.values() if caller.is_probe or caller.may_use(tool.permission, tool.name)]


def _of_groups(config: SidecarConfig) -> dict[str, Tool]:
    own = named.named_tools(config.policy)
    # A named command may go on in the background too, and its output may be long.
    needed = {tool.name for tool in followup.TOOLS} if own else set()
    tools = {
        name: tool
        for name, tool in TOOLS.items()
        if tool.group is None or tool.group in config.groups or name in needed
    }
    return tools | {tool.name: tool for tool in own}


def _permitted(tool: Tool, config: SidecarConfig) -> bool:
    return not config.policy.read_only or tool.annotations.read_only_hint is True


def scope_text(permissions: Iterable[Permission]) -> str:
    """A `scope` value (RFC 6749, section 3.3): space-separated, in the table's order."""
    held = set(permissions)
    return " ".join(scope for permission, scope in SCOPES.items() if permission in held)
