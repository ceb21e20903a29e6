"""What upstream servers list, as a caller sees it."""

import hashlib

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol import servers
from fairlead_sidecar.protocol.addressing import Directory, Entry
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.redact import redactor
from fairlead_sidecar.upstream.spec import Json

LISTS = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}
"""Method -> the result's member with the items, and the items' member that names them."""


def listed(
    method: str, directory: Directory, active: Active, caller: Caller, server: str | None, *, modern: bool
) -> list[Json]:
    """The items of a list, of all servers or of one alone, whose own names they then keep."""
    _, key = LISTS[method]
    try:
        masks = redactor(active.config.policy.redact)
    except FairleadError:
        # They may hold what can't be masked now.
        return []
    entries = seen(method, directory, active, caller, server)
    listed_as = (entry.listed(key, prefixed=server is None, modern=modern) for entry in entries)
    items = [item for item in listed_as if item is not None]
    return masks.structure(items) if masks else items


def seen(method: str, directory: Directory, active: Active, caller: Caller, server: str | None) -> list[Entry]:
    """What the caller sees of a list."""
    if method == "tools/list":
        return servers.tools(directory, active, caller, server)
    if method == "prompts/list":
        return servers.prompts(directory, caller, server)
    if method == "resources/list":
        return servers.resources(directory, caller, server)
    return servers.templates(directory, caller, server)


def digests(methods: tuple[str, ...], directory: Directory, active: Active, caller: Caller, server: str | None) -> str:
    """Something that differs whenever what the caller sees of these lists does."""
    entries = (entry for method in methods for entry in seen(method, directory, active, caller, server))
    return hashlib.sha256(
        "\n".join(f"{entry.name} {entry.digest}" for entry in entries).encode(errors="replace")
    ).hexdigest()
